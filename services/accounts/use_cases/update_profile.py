"""Change one's own name."""

from accounts.domain.principal import Principal
from accounts.domain.users import User
from accounts.outbound.audit import note
from accounts.outbound.users import change_user, find_user
from accounts.use_cases.authorize_caller import authorize_user, missing
from accounts.use_cases.context import Context


async def update_profile(context: Context, caller: Principal, *, name: str) -> User:
    """The caller as they are now. Raises Forbidden for anything but a person."""
    async with context.engine.begin() as connection:
        await authorize_user(connection, caller)
        before = await find_user(connection, caller.subject, locked=True)
        if before is None:
            raise missing()
        user = await change_user(connection, user_id=caller.subject, name=name)
        await note(connection, caller, "user.updated", user.id, before=before, after=user)
    return user
