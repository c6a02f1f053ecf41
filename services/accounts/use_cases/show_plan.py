"""Show one plan."""

from accounts.domain.objects import Plan
from accounts.domain.principal import Principal
from accounts.outbound.plans import find_plan
from accounts.use_cases.authorize_caller import authorize, missing
from accounts.use_cases.context import Context


async def show_plan(context: Context, caller: Principal, organization_id: str, plan_id: str) -> Plan:
    """Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        await authorize(connection, caller, "plans.read", organization_id)
        plan = await find_plan(connection, organization_id, plan_id)
    if plan is None:
        raise missing()
    return plan
