"""Change a service account: name, role, status, limits."""

from typing import Any

from sqlalchemy.exc import IntegrityError

from accounts.domain.audit import status_action
from accounts.domain.limits import changed_limits
from accounts.domain.objects import ServiceAccount
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.limit_columns import parted
from accounts.outbound.outbox import announce
from accounts.outbound.service_accounts import change_service_account
from accounts.use_cases.authorize_caller import require_version
from accounts.use_cases.authorize_membership_change import require_role_to_give
from accounts.use_cases.authorize_service_account import service_account_for
from accounts.use_cases.context import Context
from accounts.use_cases.create_service_account import NAME_TAKEN
from common.contracts.roles import Permission
from common.problems import Conflict

FIELD_PERMISSIONS: dict[str, Permission] = {"limits": "limits.manage"}
"""What a change of these fields needs; any other needs service_accounts.manage."""


async def update_service_account(
    context: Context,
    caller: Principal,
    organization_id: str,
    service_account_id: str,
    changes: dict[str, Any],
    expected: int | None = None,
) -> ServiceAccount:
    """Apply the given fields, leave the others. Suspended, its tokens are refused and its keys closed until it is active again.

    Raises NotFound, Forbidden, PreconditionFailed, Conflict (closed, or the name is taken).
    """
    try:
        async with context.engine.begin() as connection:
            before = await service_account_for(
                connection, caller, organization_id, service_account_id, *_permissions_for(changes), to_change=True
            )
            if changes.get("role", before.role) != before.role or _reopens(before, changes):
                await require_role_to_give(connection, caller, organization_id, changes.get("role", before.role))
            require_version(before.version, expected)
            if before.status == "ended":
                raise Conflict("The service account has been closed.")
            account = await change_service_account(connection, before.id, **_values(before, changes))
            await announce(connection, account.record())
            action = status_action("service_account", before.status, account.status)
            await note(connection, caller, action, account.id, organization_id=organization_id, before=before, after=account)
    except IntegrityError:
        raise Conflict(NAME_TAKEN, field="name") from None
    return account


def _permissions_for(changes: dict[str, Any]) -> set[Permission]:
    return {FIELD_PERMISSIONS.get(name, "service_accounts.manage") for name in changes} or {"service_accounts.manage"}


def _reopens(before: ServiceAccount, changes: dict[str, Any]) -> bool:
    return before.status == "suspended" and changes.get("status") == "active"


def _values(before: ServiceAccount, changes: dict[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in changes.items() if name != "limits"}
    if "limits" in changes:
        values |= parted(changed_limits(before.limits, changes["limits"]))
    return values
