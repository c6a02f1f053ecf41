"""Organizations in SQL."""

from typing import Any

import msgspec
from sqlalchemy import RowMapping, Select, func, insert, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Organization
from accounts.domain.page import Page, PageAsk
from accounts.outbound.limit_columns import joined
from accounts.outbound.paging import page_of
from accounts.outbound.tables import memberships, organizations, service_accounts


def _organization(row: RowMapping) -> Organization:
    return msgspec.convert(joined(row), Organization)


async def add_organization(connection: AsyncConnection, **values: Any) -> Organization:
    """Insert an organization; raises IntegrityError when the slug is taken."""
    found = await connection.execute(insert(organizations).values(**values).returning(organizations))
    return _organization(found.mappings().one())


async def slug_is_taken(connection: AsyncConnection, slug: str) -> bool:
    """Whether an organization has this slug."""
    found = await connection.execute(select(organizations.c.id).where(organizations.c.slug == slug))
    return found.one_or_none() is not None


async def find_organization(connection: AsyncConnection, organization_id: str, *, locked: bool = False) -> Organization | None:
    """The organization, or None; `locked` keeps it unchanged until the end of the transaction.

    Not against rows that merely refer to it: projects and keys can be made meanwhile.
    """
    query = select(organizations).where(organizations.c.id == organization_id)
    found = await connection.execute(query.with_for_update(key_share=True) if locked else query)
    row = found.mappings().one_or_none()
    return None if row is None else _organization(row)


async def organizations_of(
    connection: AsyncConnection, subject_id: str, ask: PageAsk, *, status: str | None = None, slug: str | None = None
) -> Page[Organization]:
    """The organizations that a user is an active member of, or the one of a service account."""
    query: Select[Any] = select(organizations).where(
        organizations.c.id.in_(
            union_all(
                select(memberships.c.organization_id).where(
                    memberships.c.user_id == subject_id, memberships.c.status == "active"
                ),
                select(service_accounts.c.organization_id).where(
                    service_accounts.c.id == subject_id, service_accounts.c.status == "active"
                ),
            )
        )
    )
    if status is not None:
        query = query.where(organizations.c.status == status)
    if slug is not None:
        query = query.where(organizations.c.slug == slug)
    return await page_of(connection, query, organizations.c.id, ask, _organization)


async def change_organization(connection: AsyncConnection, organization_id: str, **values: Any) -> Organization:
    """Change fields and raise the version."""
    found = await connection.execute(
        update(organizations)
        .where(organizations.c.id == organization_id)
        .values(**values, version=organizations.c.version + 1, updated_at=func.now())
        .returning(organizations)
    )
    return _organization(found.mappings().one())


async def organizations_after(connection: AsyncConnection, last_id: str, limit: int) -> list[Organization]:
    """The next chunk of all organizations, for re-publishing."""
    found = await connection.execute(
        select(organizations).where(organizations.c.id > last_id).order_by(organizations.c.id).limit(limit)
    )
    return [_organization(row) for row in found.mappings()]
