"""Service accounts in SQL."""

from typing import Any

import msgspec
from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import ServiceAccount
from accounts.domain.page import Page, PageAsk
from accounts.outbound.limit_columns import joined
from accounts.outbound.paging import page_of
from accounts.outbound.tables import service_accounts
from common.contracts.roles import Role


def _account(row: RowMapping) -> ServiceAccount:
    return msgspec.convert(joined(row), ServiceAccount)


async def add_service_account(connection: AsyncConnection, **values: Any) -> ServiceAccount:
    """Insert one; raises IntegrityError when the organization has one of this name that is not closed."""
    found = await connection.execute(insert(service_accounts).values(**values).returning(service_accounts))
    return _account(found.mappings().one())


async def find_service_account(
    connection: AsyncConnection, organization_id: str, service_account_id: str, *, locked: bool = False
) -> ServiceAccount | None:
    """The one of the organization, also when it was closed; `locked` keeps it unchanged until the end of the transaction."""
    query = select(service_accounts).where(
        service_accounts.c.id == service_account_id, service_accounts.c.organization_id == organization_id
    )
    row = (await connection.execute(query.with_for_update() if locked else query)).mappings().one_or_none()
    return None if row is None else _account(row)


async def service_accounts_of(
    connection: AsyncConnection, organization_id: str, ask: PageAsk, status: str | None, name: str | None
) -> Page[ServiceAccount]:
    """Those of an organization; without a status all but those that were closed."""
    account = service_accounts.c
    query = select(service_accounts).where(account.organization_id == organization_id)
    query = query.where(account.status != "ended" if status is None else account.status == status)
    return await page_of(connection, query if name is None else query.where(account.name == name), account.id, ask, _account)


async def change_service_account(connection: AsyncConnection, service_account_id: str, **values: Any) -> ServiceAccount:
    """Change fields and raise the version; raises IntegrityError when the name is taken."""
    found = await connection.execute(
        update(service_accounts)
        .where(service_accounts.c.id == service_account_id)
        .values(**values, version=service_accounts.c.version + 1, updated_at=func.now())
        .returning(service_accounts)
    )
    return _account(found.mappings().one())


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
    return [_account(row) for row in found.mappings()]
