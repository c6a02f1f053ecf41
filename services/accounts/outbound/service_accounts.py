"""Service accounts in SQL."""

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import ServiceAccount
from accounts.outbound.limit_columns import joined
from accounts.outbound.tables import service_accounts
from common.contracts.roles import Role


async def service_account_role(connection: AsyncConnection, service_account_id: str, organization_id: str) -> Role | None:
    """Its role if it belongs to the organization and is active."""
    found = await connection.execute(
        select(service_accounts.c.role).where(
            service_accounts.c.id == service_account_id,
            service_accounts.c.organization_id == organization_id,
            service_accounts.c.status == "active",
        )
    )
    role: Role | None = found.scalar_one_or_none()
    return role


async def service_account_roles(connection: AsyncConnection, service_account_id: str) -> dict[str, Role]:
    """Its role in its one organization, if it is active."""
    found = await connection.execute(
        select(service_accounts.c.organization_id, service_accounts.c.role).where(
            service_accounts.c.id == service_account_id, service_accounts.c.status == "active"
        )
    )
    return {row.organization_id: row.role for row in found}


async def service_accounts_after(connection: AsyncConnection, last_id: str, limit: int) -> list[ServiceAccount]:
    """The next chunk of all service accounts, for re-publishing."""
    found = await connection.execute(
        select(service_accounts).where(service_accounts.c.id > last_id).order_by(service_accounts.c.id).limit(limit)
    )
    return [msgspec.convert(joined(row), ServiceAccount) for row in found.mappings()]
