"""Change a member: role, status, limits."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.audit import status_action
from accounts.domain.limits import changed_limits
from accounts.domain.objects import Member
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.limit_columns import parted
from accounts.outbound.members import change_member
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_caller import authorize, require_version
from accounts.use_cases.authorize_membership_change import (
    authorize_alone,
    present_member,
    require_owner_left,
    require_role_to_give,
)
from accounts.use_cases.context import Context
from common.contracts.roles import Permission
from common.problems import Conflict

FIELD_PERMISSIONS: dict[str, Permission] = {"limits": "limits.manage"}
"""What a change of these fields needs; any other needs members.manage, and owners.manage when it concerns an owner."""


async def update_member(
    context: Context,
    caller: Principal,
    organization_id: str,
    user_id: str,
    changes: dict[str, Any],
    expected: int | None = None,
) -> Member:
    """Apply the given fields, leave the others. Raises NotFound, Forbidden, PreconditionFailed, and Conflict when the membership
    has ended or nobody would be owner any more.
    """
    async with context.engine.begin() as connection:
        await authorize_alone(connection, caller, organization_id, *permissions_for(changes))
        before = await present_member(connection, organization_id, user_id)
        await _authorize_change(connection, caller, before, changes)
        require_version(before.version, expected)
        if before.status == "ended":
            raise Conflict("The membership has ended; invite the person again.")
        member = await change_member(connection, organization_id, user_id, **_values(before, changes))
        await require_owner_left(connection, before)
        await announce(connection, member.record())
        action = status_action("member", before.status, member.status)
        await note(connection, caller, action, user_id, organization_id=organization_id, before=before, after=member)
    return member


def permissions_for(changes: dict[str, Any]) -> set[Permission]:
    """Limits have a permission of their own."""
    return {FIELD_PERMISSIONS.get(name, "members.manage") for name in changes} or {"members.manage"}


async def _authorize_change(connection: AsyncConnection, caller: Principal, before: Member, changes: dict[str, Any]) -> None:
    if before.role == "owner" and changes.keys() & {"role", "status"}:
        await authorize(connection, caller, "owners.manage", before.organization_id)
    if changes.get("role", before.role) != before.role:
        await require_role_to_give(connection, caller, before.organization_id, changes["role"])


def _values(before: Member, changes: dict[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in changes.items() if name != "limits"}
    if "limits" in changes:
        values |= parted(changed_limits(before.limits, changes["limits"]))
    return values
