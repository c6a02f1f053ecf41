"""Change a project: its name, status, models, limits and policies."""

from typing import Any

import msgspec
from sqlalchemy.exc import IntegrityError

from accounts.domain.audit import status_action
from accounts.domain.objects import Project
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.outbox import announce
from accounts.outbound.projects import change_project
from accounts.use_cases.authorize_caller import project_for, require_version
from accounts.use_cases.context import Context
from common.contracts.directory import Limits
from common.problems import Conflict

MERGED = ("limits", "cache", "tier")


async def update_project(
    context: Context,
    caller: Principal,
    project_id: str,
    changes: dict[str, Any],
    expected: int | None = None,
) -> Project:
    """Apply the given fields, leave the others; also within limits, cache and tier. Raises NotFound, Forbidden,
    Conflict, PreconditionFailed.

    A change of any limit raises the limits' own version: budgets then give nothing out on the older one.
    """
    try:
        async with context.engine.begin() as connection:
            project = await project_for(connection, caller, "projects.manage", project_id, locked=True)
            require_version(project.version, expected)
            before, project = project, await change_project(connection, project_id, **_values(project, changes))
            await announce(connection, project.record())
            action = status_action("project", before.status, project.status)
            await note(
                connection, caller, action, project_id, organization_id=project.organization_id, before=before, after=project
            )
    except IntegrityError:
        raise Conflict("A project of this organization has this slug.", field="slug") from None
    return project


def _values(project: Project, changes: dict[str, Any]) -> dict[str, Any]:
    values = dict(changes)
    for name in MERGED:
        if name in changes:
            values[name] = {**msgspec.to_builtins(getattr(project, name)), **changes[name]}
    if "limits" in values:
        version = values["limits"].pop("version", project.limits.version)
        changed = msgspec.convert({**values["limits"], "version": version}, Limits) != project.limits
        values["limits_version"] = version + 1 if changed else version
    return values
