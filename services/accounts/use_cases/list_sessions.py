"""List where one has signed in."""

from accounts.domain.page import Page, PageAsk
from accounts.domain.principal import Principal
from accounts.domain.sessions import Session
from accounts.outbound.sessions import sessions_of
from accounts.use_cases.authorize_caller import authorize_user
from accounts.use_cases.context import Context


async def list_sessions(context: Context, caller: Principal, ask: PageAsk) -> Page[Session]:
    """One page of those that live, oldest first."""
    async with context.engine.begin() as connection:
        await authorize_user(connection, caller)
        return await sessions_of(connection, caller.subject, ask)
