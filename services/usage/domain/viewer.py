"""Who wants to see a report: what the token says, and what accounts says now where the token is too old to know."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from common.contracts.access_tokens import Identity
from common.contracts.roles import Permission


@dataclass(frozen=True, slots=True)
class Viewer:
    """`ask_again` answers the caller with its present roles, or None."""

    identity: Identity
    ask_again: Callable[[], Awaitable[Identity | None]]

    async def may(self, permission: Permission, organization_id: str) -> bool:
        """By the token; only if that does not suffice, by accounts."""
        if self.identity.may(permission, organization_id):
            return True
        present = await self.ask_again()
        return present is not None and present.user_id == self.identity.user_id and present.may(permission, organization_id)
