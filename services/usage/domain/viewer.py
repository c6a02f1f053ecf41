"""Who wants to see a report: what the token says, and what accounts says now where the token is too old to know."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from common.contracts.access_tokens import Identity
from common.contracts.roles import Permission

Access = Literal["granted", "refused", "stranger"]


@dataclass(frozen=True, slots=True)
class Viewer:
    """`ask_again` answers the caller with its present roles, or None."""

    identity: Identity
    ask_again: Callable[[], Awaitable[Identity | None]]

    async def access(self, permission: Permission, organization_id: str) -> Access:
        """By the token; only if that does not suffice, by accounts. Refused: belongs to the organization without the permission."""
        said = _access(self.identity, permission, organization_id)
        if said == "granted":
            return said
        present = await self.ask_again()
        if present is None or present.user_id != self.identity.user_id:
            return said
        return _access(present, permission, organization_id)


def _access(identity: Identity, permission: Permission, organization_id: str) -> Access:
    if identity.may(permission, organization_id):
        return "granted"
    return "refused" if organization_id in identity.roles else "stranger"
