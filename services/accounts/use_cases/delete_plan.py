"""Delete a plan that no project has any more."""

from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.plans import find_plan, hold_plans, is_in_use, remove_plan
from accounts.use_cases.authorize_caller import authorize, missing, require_version
from accounts.use_cases.context import Context
from common.problems import Conflict


async def delete_plan(
    context: Context, caller: Principal, organization_id: str, plan_id: str, expected: int | None = None
) -> None:
    """Raises NotFound, Forbidden, PreconditionFailed, and Conflict while a project has it."""
    async with context.engine.begin() as connection:
        await authorize(connection, caller, "plans.manage", organization_id)
        await hold_plans(connection, organization_id, to_change=True)
        plan = await find_plan(connection, organization_id, plan_id)
        if plan is None:
            raise missing()
        require_version(plan.version, expected)
        if await is_in_use(connection, plan_id):
            raise Conflict("Projects have this plan; give them another one first.")
        await remove_plan(connection, plan_id)
        await note(connection, caller, "plan.deleted", plan_id, organization_id=organization_id, before=plan)
