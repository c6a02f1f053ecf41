"""Create a plan in an organization."""

from typing import Any

from sqlalchemy.exc import IntegrityError

from accounts.domain.limits import changed_limits
from accounts.domain.objects import Plan
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.limit_columns import parted
from accounts.outbound.plans import add_plan
from accounts.use_cases.authorize_caller import authorize
from accounts.use_cases.context import Context
from common.contracts.directory import NO_LIMITS
from common.contracts.identifiers import uuid7
from common.problems import Conflict

NAME_TAKEN = "The organization has a plan of this name."


async def create_plan(
    context: Context, caller: Principal, organization_id: str, *, name: str, limits: dict[str, Any], alert_percents: list[int]
) -> Plan:
    """The new plan; no project has it yet. Raises NotFound, Forbidden, Conflict."""
    try:
        async with context.engine.begin() as connection:
            await authorize(connection, caller, "plans.manage", organization_id)
            plan = await add_plan(
                connection,
                id=uuid7(),
                organization_id=organization_id,
                name=name,
                alert_percents=alert_percents,
                **parted(changed_limits(NO_LIMITS, limits)),
            )
            await note(connection, caller, "plan.created", plan.id, organization_id=organization_id, after=plan)
    except IntegrityError:
        raise Conflict(NAME_TAKEN, field="name") from None
    return plan
