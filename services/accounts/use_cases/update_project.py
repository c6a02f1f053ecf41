"""Change a project: its name, status, plan, models, limits and policies."""

from typing import Any

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.audit import status_action
from accounts.domain.limits import changed_limits
from accounts.domain.objects import Project
from accounts.domain.plans import ALERTS, changed_overrides, on_plan
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.limit_columns import parted
from accounts.outbound.outbox import announce
from accounts.outbound.plans import hold_plans
from accounts.outbound.projects import change_project, find_project
from accounts.use_cases.authorize_caller import project_for, require_version
from accounts.use_cases.choose_plan import choose_plan
from accounts.use_cases.context import Context
from common.problems import Conflict, Invalid

MERGED = ("cache", "tier")
LIMITING = ("plan_id", "limits", ALERTS, "inherit")
"""What decides which limits and alerts are in force."""


async def update_project(
    context: Context,
    caller: Principal,
    project_id: str,
    changes: dict[str, Any],
    expected: int | None = None,
) -> Project:
    """Apply the given fields, leave the others; also within limits, cache and tier. Raises NotFound, Forbidden,
    Conflict, PreconditionFailed, Invalid.

    A change of any limit raises the limits' own version: budgets then give nothing out on the older one.
    """
    try:
        async with context.engine.begin() as connection:
            before = await _locked(connection, caller, project_id, changes)
            require_version(before.version, expected)
            project = await change_project(connection, project_id, **await _values(connection, before, changes))
            await announce(connection, project.record())
            action = status_action("project", before.status, project.status)
            await note(
                connection, caller, action, project_id, organization_id=project.organization_id, before=before, after=project
            )
    except IntegrityError:
        raise Conflict("A project of this organization has this slug.", field="slug") from None
    return project


async def _locked(connection: AsyncConnection, caller: Principal, project_id: str, changes: dict[str, Any]) -> Project:
    project = await project_for(connection, caller, "projects.manage", project_id)
    if any(name in changes for name in LIMITING):
        await hold_plans(connection, project.organization_id)
    return await find_project(connection, project_id, locked=True) or project


async def _values(connection: AsyncConnection, project: Project, changes: dict[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in changes.items() if name not in LIMITING}
    for name in MERGED:
        if name in changes:
            values[name] = {**msgspec.to_builtins(getattr(project, name)), **changes[name]}
    if "end_user_limits" in changes:
        values["end_user_limits"] = msgspec.to_builtins(changed_limits(project.end_user_limits, changes["end_user_limits"]))
    if any(name in changes for name in LIMITING):
        values |= await _limiting(connection, project, changes)
    return values


async def _limiting(connection: AsyncConnection, project: Project, changes: dict[str, Any]) -> dict[str, Any]:
    """Plan, overrides, and what follows from both."""
    plan = await choose_plan(connection, project.organization_id, changes.get("plan_id", project.plan_id))
    after = on_plan(msgspec.structs.replace(project, limit_overrides=_overrides(project, changes)), plan)
    return {
        "plan_id": plan.id if plan else None,
        "limit_overrides": after.limit_overrides,
        ALERTS: list(after.alert_percents),
        **parted(after.limits),
    }


def _overrides(project: Project, changes: dict[str, Any]) -> dict[str, Any]:
    given = dict(changes.get("limits", {}))
    if ALERTS in changes:
        given[ALERTS] = changes[ALERTS]
    dropped = changes.get("inherit", ())
    both = sorted(set(given) & set(dropped))
    if both:
        wrong = [{"field": "inherit", "message": f"{name} is also given a value"} for name in both]
        raise Invalid("A limit cannot be set and follow the plan at once.", errors=wrong)
    return changed_overrides(project.limit_overrides, given, dropped)
