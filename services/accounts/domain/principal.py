"""Who acts, and from where: what authorization decides on and the audit log names."""

from typing import Literal

import msgspec

from common.contracts.roles import Permission

PrincipalKind = Literal["user", "service_account", "system", "anonymous"]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request came from."""

    address: str = ""
    agent: str = ""
    request_id: str = ""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A caller. Its roles are read from the database when something is to be decided, never taken from a token.

    `scopes` None = all that its roles permit. `operator`: runs the installation (users, domains), which is no role in any
    organization. `session_id` is the sign-in of a user, `token_id` the long-lived token of a user or a service account, by which they came.
    """

    kind: PrincipalKind
    id: str | None
    name: str = ""
    operator: bool = False
    scopes: frozenset[Permission] | None = None
    session_id: str | None = None
    token_id: str | None = None
    origin: Origin = Origin()

    @property
    def subject(self) -> str:
        """The identifier of a user or service account; only those get as far as being asked."""
        if self.id is None:
            raise ValueError(f"{self.kind} has no identifier")
        return self.id


SYSTEM = Principal(kind="system", id=None, name="codexflow")
"""The service itself: scheduled rotation, reminders, repairs, the seed."""
