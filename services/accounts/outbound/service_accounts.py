"""Service accounts in SQL."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

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
