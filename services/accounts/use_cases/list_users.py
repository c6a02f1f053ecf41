"""List the users of the installation."""

from accounts.domain.page import Page, PageAsk
from accounts.domain.principal import Principal
from accounts.domain.users import User
from accounts.outbound.users import users_page
from accounts.use_cases.authorize_caller import authorize_operator
from accounts.use_cases.context import Context


async def list_users(
    context: Context, caller: Principal, ask: PageAsk, *, email: str | None = None, status: str | None = None
) -> Page[User]:
    """One page, oldest first. Raises Forbidden."""
    async with context.engine.begin() as connection:
        await authorize_operator(connection, caller)
        return await users_page(connection, ask, email=email, status=status)
