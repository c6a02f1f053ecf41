"""Create a service account: a caller with a role that is no person."""

from typing import Any

from sqlalchemy.exc import IntegrityError

from accounts.domain.limits import changed_limits
from accounts.domain.objects import ServiceAccount
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.limit_columns import parted
from accounts.outbound.outbox import announce
from accounts.outbound.service_accounts import add_service_account
from accounts.use_cases.authorize_caller import authorize
from accounts.use_cases.authorize_membership_change import require_role_to_give
from accounts.use_cases.context import Context
from common.contracts.directory import NO_LIMITS
from common.contracts.identifiers import uuid7
from common.contracts.roles import Role
from common.problems import Conflict

NAME_TAKEN = "The organization has a service account of this name."


async def create_service_account(
    context: Context, caller: Principal, organization_id: str, *, name: str, role: Role, limits: dict[str, Any]
) -> ServiceAccount:
    """The new account, which has no token yet. Raises NotFound, Forbidden (a role with more than the caller's), Conflict."""
    try:
        async with context.engine.begin() as connection:
            await authorize(connection, caller, "service_accounts.manage", organization_id)
            if limits:
                await authorize(connection, caller, "limits.manage", organization_id)
            await require_role_to_give(connection, caller, organization_id, role)
            account = await add_service_account(
                connection,
                id=uuid7(),
                organization_id=organization_id,
                name=name,
                role=role,
                created_by=caller.subject,
                **parted(changed_limits(NO_LIMITS, limits)),
            )
            await announce(connection, account.record())
            await note(connection, caller, "service_account.created", account.id, organization_id=organization_id, after=account)
    except IntegrityError:
        raise Conflict(NAME_TAKEN, field="name") from None
    return account
