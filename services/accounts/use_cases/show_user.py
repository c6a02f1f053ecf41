"""Show one user of the installation."""

from accounts.domain.principal import Principal
from accounts.domain.users import User
from accounts.outbound.users import find_user
from accounts.use_cases.authorize_caller import authorize_operator, missing
from accounts.use_cases.context import Context


async def show_user(context: Context, caller: Principal, user_id: str) -> User:
    """Raises Forbidden, NotFound."""
    async with context.engine.begin() as connection:
        await authorize_operator(connection, caller)
        user = await find_user(connection, user_id)
    if user is None:
        raise missing()
    return user
