"""API keys in SQL: digests only, never a plaintext."""

from typing import Any

import msgspec
from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Key
from accounts.domain.page import Page, PageAsk
from accounts.outbound.limit_columns import joined
from accounts.outbound.paging import page_of
from accounts.outbound.tables import api_keys


def _key(row: RowMapping) -> Key:
    return msgspec.convert(joined(row), Key)


async def add_key(connection: AsyncConnection, **values: Any) -> Key:
    """Insert a key."""
    found = await connection.execute(insert(api_keys).values(**values).returning(api_keys))
    return _key(found.mappings().one())


async def find_key(connection: AsyncConnection, project_id: str, key_id: str, *, locked: bool = False) -> Key | None:
    """The key if it belongs to the project; `locked` keeps it unchanged until the end of the transaction."""
    query = select(api_keys).where(api_keys.c.id == key_id, api_keys.c.project_id == project_id)
    found = await connection.execute(query.with_for_update() if locked else query)
    row = found.mappings().one_or_none()
    return None if row is None else _key(row)


async def keys_of(connection: AsyncConnection, project_id: str, ask: PageAsk, status: str | None) -> Page[Key]:
    """The keys of a project, all or those with a status."""
    query = select(api_keys).where(api_keys.c.project_id == project_id)
    if status is not None:
        query = query.where(api_keys.c.status == status)
    return await page_of(connection, query, api_keys.c.id, ask, _key)


async def change_key(connection: AsyncConnection, key_id: str, **values: Any) -> Key:
    """Change fields and raise the version."""
    found = await connection.execute(
        update(api_keys)
        .where(api_keys.c.id == key_id)
        .values(**values, version=api_keys.c.version + 1, updated_at=func.now())
        .returning(api_keys)
    )
    return _key(found.mappings().one())


async def keys_after(connection: AsyncConnection, last_id: str, limit: int) -> list[Key]:
    """The next chunk of all keys, for re-publishing."""
    found = await connection.execute(select(api_keys).where(api_keys.c.id > last_id).order_by(api_keys.c.id).limit(limit))
    return [_key(row) for row in found.mappings()]
