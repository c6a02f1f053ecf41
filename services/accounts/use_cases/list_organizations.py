"""List the organizations that the caller is a member of."""

from accounts.domain.objects import Organization
from accounts.domain.page import Page, PageAsk
from accounts.domain.principal import Principal
from accounts.outbound.organizations import organizations_of
from accounts.use_cases.authorize_caller import authorize_user
from accounts.use_cases.context import Context


async def list_organizations(context: Context, caller: Principal, ask: PageAsk) -> Page[Organization]:
    """One page, oldest first."""
    async with context.engine.begin() as connection:
        await authorize_user(connection, caller)
        return await organizations_of(connection, caller.subject, ask)
