"""Decide who may read which part of the audit log."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.principal import Principal
from accounts.use_cases.authorize_caller import authorize, authorize_operator


async def authorize_audit(connection: AsyncConnection, caller: Principal, organization_id: str | None) -> None:
    """An organization's entries are read with its permission `audit.read`; those that belong to none (None) by operators, who for
    their part see none of an organization. Raises NotFound, Forbidden.
    """
    if organization_id is None:
        await authorize_operator(connection, caller)
    else:
        await authorize(connection, caller, "audit.read", organization_id)
