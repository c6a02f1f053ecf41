"""Change an organization: name, slug, time zone, staleness, limits, or suspend it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy.exc import IntegrityError

from accounts.domain.audit import status_action
from accounts.domain.limits import changed_limits
from accounts.domain.objects import Organization
from accounts.domain.principal import Principal
from accounts.domain.time_zones import changed_time_zone
from accounts.outbound.audit import note
from accounts.outbound.limit_columns import parted
from accounts.outbound.organizations import change_organization, find_organization
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_caller import authorize, missing, require_version
from accounts.use_cases.context import Context
from common.contracts.roles import Permission
from common.problems import Conflict

FIELD_PERMISSIONS: dict[str, Permission] = {
    "status": "organization.close",
    "limits": "limits.manage",
    "end_user_limits": "limits.manage",
    "alert_percents": "limits.manage",
    "enforcement": "limits.manage",
}
"""What a change of these fields needs; any other needs organization.update."""


async def update_organization(
    context: Context,
    caller: Principal,
    organization_id: str,
    changes: dict[str, Any],
    expected: int | None = None,
) -> Organization:
    """Apply the given fields, leave the others; also within limits, whose version rises with any change of them.

    Raises NotFound, Forbidden, Conflict, PreconditionFailed.
    """
    try:
        async with context.engine.begin() as connection:
            for permission in permissions_for(changes):
                await authorize(connection, caller, permission, organization_id)
            before = await find_organization(connection, organization_id, locked=True)
            if before is None:
                raise missing()
            require_version(before.version, expected)
            organization = await change_organization(connection, organization_id, **_values(before, changes))
            await announce(connection, organization.record())
            action = status_action("organization", before.status, organization.status)
            await note(
                connection, caller, action, organization_id, organization_id=organization_id, before=before, after=organization
            )
    except IntegrityError:
        raise Conflict("An organization with this slug exists.", field="slug") from None
    return organization


def permissions_for(changes: dict[str, Any]) -> set[Permission]:
    """Each kind of change has its own permission: closing, limits, all the rest."""
    return {FIELD_PERMISSIONS.get(name, "organization.update") for name in changes} or {"organization.update"}


def _values(before: Organization, changes: dict[str, Any]) -> dict[str, Any]:
    values = dict(changes)
    if "time_zone" in changes:
        now = datetime.now(UTC)
        values |= changed_time_zone(before.counting_time_zone(now), changes["time_zone"], now)
    if "limits" in changes:
        values |= parted(changed_limits(before.limits, changes["limits"]))
    if "end_user_limits" in changes:
        values["end_user_limits"] = msgspec.to_builtins(changed_limits(before.end_user_limits, changes["end_user_limits"]))
    return values
