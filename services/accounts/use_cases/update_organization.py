"""Change an organization: name, slug, time zone, staleness, or suspend it."""

from typing import Any

from sqlalchemy.exc import IntegrityError

from accounts.domain.audit import status_action
from accounts.domain.objects import Organization
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.organizations import change_organization, find_organization
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_caller import authorize, missing, require_version
from accounts.use_cases.context import Context
from common.contracts.roles import Permission
from common.problems import Conflict


async def update_organization(
    context: Context,
    caller: Principal,
    organization_id: str,
    changes: dict[str, Any],
    expected: int | None = None,
) -> Organization:
    """Apply the given fields, leave the others. Raises NotFound, Forbidden, Conflict, PreconditionFailed."""
    try:
        async with context.engine.begin() as connection:
            for permission in permissions_for(changes):
                await authorize(connection, caller, permission, organization_id)
            before = await find_organization(connection, organization_id, locked=True)
            if before is None:
                raise missing()
            require_version(before.version, expected)
            organization = await change_organization(connection, organization_id, **changes)
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
    permissions: set[Permission] = set()
    for name in changes:
        if name == "status":
            permissions.add("organization.close")
        elif name in ("limits", "end_user_limits", "alert_percents"):
            permissions.add("limits.manage")
        else:
            permissions.add("organization.update")
    return permissions or {"organization.update"}
