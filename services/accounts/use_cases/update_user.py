"""Change a user: name, email, standing, or suspend them."""

from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.audit import status_action
from accounts.domain.objects import Member
from accounts.domain.principal import Principal
from accounts.domain.users import User
from accounts.outbound.audit import note
from accounts.outbound.members import touch_memberships
from accounts.outbound.outbox import announce
from accounts.outbound.password_resets import spend_resets
from accounts.outbound.sessions import end_sessions
from accounts.outbound.users import change_user, lock_with_operators
from accounts.use_cases.authorize_caller import authorize_operator, missing, require_version
from accounts.use_cases.context import Context
from common.problems import Conflict


async def update_user(
    context: Context, caller: Principal, user_id: str, changes: dict[str, Any], expected: int | None = None
) -> tuple[User, list[Member]]:
    """The user, and the memberships that were announced anew: suspending closes all keys of the person at the gateways, and all
    sessions; reinstating opens the keys again.

    Raises Forbidden, NotFound, PreconditionFailed, and Conflict when the email is taken or nobody would run the installation.
    """
    try:
        async with context.engine.begin() as connection:
            await authorize_operator(connection, caller)
            before, other_operators = await lock_with_operators(connection, user_id)
            if before is None:
                raise missing()
            require_version(before.version, expected)
            user = await change_user(connection, user_id, **changes)
            if _operates(before) and not _operates(user) and not other_operators:
                raise Conflict("This is the last active operator; make somebody else one first.")
            members = await _spread(connection, before, user)
            await note(connection, caller, status_action("user", before.status, user.status), user_id, before=before, after=user)
    except IntegrityError:
        raise Conflict("There is a user with this email.", field="email") from None
    return user, members


def _operates(user: User) -> bool:
    return user.operator and user.status == "active"


async def _spread(connection: AsyncConnection, before: User, user: User) -> list[Member]:
    """What else follows from the change."""
    if user.email != before.email or user.status == "suspended":
        await spend_resets(connection, user.id)
    if user.status == before.status:
        return []
    if user.status == "suspended":
        await end_sessions(connection, user.id, "suspended")
    members = await touch_memberships(connection, user.id)
    for member in members:
        await announce(connection, member.record())
    return members
