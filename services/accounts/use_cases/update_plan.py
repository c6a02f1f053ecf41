"""Change a plan; its projects follow in the same transaction."""

from typing import Any

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.limits import changed_limits
from accounts.domain.objects import Plan
from accounts.domain.plans import on_plan
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.limit_columns import parted
from accounts.outbound.outbox import announce
from accounts.outbound.plans import change_plan, find_plan, hold_plans
from accounts.outbound.projects import projects_on_plan, put_limits
from accounts.use_cases.authorize_caller import authorize, missing, require_version
from accounts.use_cases.context import Context
from accounts.use_cases.create_plan import NAME_TAKEN
from common.problems import Conflict

CHUNK = 1_000
LOWEST_ID = "00000000-0000-0000-0000-000000000000"


async def update_plan(
    context: Context,
    caller: Principal,
    organization_id: str,
    plan_id: str,
    changes: dict[str, Any],
    expected: int | None = None,
) -> Plan:
    """Apply the given fields, leave the others, also within limits. Raises NotFound, Forbidden, Conflict, PreconditionFailed.

    Every project whose limits or alerts change by it is announced with the commit.
    """
    try:
        async with context.engine.begin() as connection:
            await authorize(connection, caller, "plans.manage", organization_id)
            await hold_plans(connection, organization_id, to_change=True)
            before = await find_plan(connection, organization_id, plan_id)
            if before is None:
                raise missing()
            require_version(before.version, expected)
            plan = await change_plan(connection, plan_id, **_values(before, changes))
            await _follow(connection, plan)
            await note(connection, caller, "plan.updated", plan_id, organization_id=organization_id, before=before, after=plan)
    except IntegrityError:
        raise Conflict(NAME_TAKEN, field="name") from None
    return plan


def _values(plan: Plan, changes: dict[str, Any]) -> dict[str, Any]:
    given = dict(changes)
    limits = changed_limits(plan.limits, given.pop("limits", {}))
    return {**given, **parted(limits)}


async def _follow(connection: AsyncConnection, plan: Plan) -> None:
    """Thousands of projects are a few statements; those that override all that changed stay as they are."""
    last = LOWEST_ID
    while projects := await projects_on_plan(connection, plan.id, last, CHUNK):
        moved = [after for before in projects if (after := on_plan(before, plan)) != before]
        changed = [msgspec.structs.replace(project, version=project.version + 1) for project in moved]
        await put_limits(connection, changed)
        await announce(connection, *(project.record() for project in changed))
        last = projects[-1].id
