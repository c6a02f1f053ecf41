"""Show who the caller is and which roles the database gives it now, whatever its token was signed with."""

import msgspec

from accounts.domain.principal import Principal
from accounts.domain.users import User
from accounts.outbound.members import roles_of
from accounts.outbound.service_accounts import service_account_roles
from accounts.outbound.users import find_user
from accounts.use_cases.context import Context
from common.contracts.access_tokens import Identity


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The caller; `user` is None for a service account."""

    identity: Identity
    name: str
    user: User | None


async def show_identity(context: Context, caller: Principal) -> Shown:
    """The caller with its present roles, and with the scopes of its token."""
    async with context.engine.begin() as connection:
        person = caller.kind == "user"
        roles = await (roles_of if person else service_account_roles)(connection, caller.subject)
        user = await find_user(connection, caller.subject) if person else None
    identity = Identity(
        user_id=caller.subject,
        roles=roles,
        kind="user" if person else "service_account",
        scopes=None if caller.scopes is None else tuple(sorted(caller.scopes)),
        session_id=caller.session_id,
    )
    return Shown(identity=identity, name=caller.name if user is None else user.name, user=user)
