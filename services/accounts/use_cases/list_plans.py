"""List the plans of an organization."""

from accounts.domain.objects import Plan
from accounts.domain.page import Page, PageAsk
from accounts.domain.principal import Principal
from accounts.outbound.plans import plans_of
from accounts.use_cases.authorize_caller import authorize
from accounts.use_cases.context import Context


async def list_plans(context: Context, caller: Principal, organization_id: str, ask: PageAsk) -> Page[Plan]:
    """One page, oldest first. Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        await authorize(connection, caller, "plans.read", organization_id)
        return await plans_of(connection, organization_id, ask)
