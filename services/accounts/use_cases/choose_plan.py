"""Find the plan that a project is to have."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Plan
from accounts.outbound.plans import find_plan
from common.problems import Invalid


async def choose_plan(connection: AsyncConnection, organization_id: str, plan_id: str | None) -> Plan | None:
    """The plan, None for none; the caller holds the organization's plans. Raises Invalid when there is no such plan."""
    if plan_id is None:
        return None
    plan = await find_plan(connection, organization_id, plan_id)
    if plan is None:
        wrong = {"field": "plan_id", "message": "is no plan of this organization"}
        raise Invalid("The organization has no such plan.", errors=[wrong])
    return plan
