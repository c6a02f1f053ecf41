"""API keys in SQL: digests only, never a plaintext."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.key_filter import EVERY_KEY, KeyFilter
from accounts.domain.objects import Key
from accounts.domain.page import Page, PageAsk
from accounts.outbound.limit_columns import joined
from accounts.outbound.paging import page_of
from accounts.outbound.tables import api_keys
from common.contracts.directory import KeySecret


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


async def keys_of(connection: AsyncConnection, project_id: str, ask: PageAsk, only: KeyFilter = EVERY_KEY) -> Page[Key]:
    """The keys of a project, all or those that a filter lets through."""
    query = select(api_keys).where(api_keys.c.project_id == project_id, *_conditions(only))
    return await page_of(connection, query, api_keys.c.id, ask, _key)


def _conditions(only: KeyFilter) -> list[ColumnElement[bool]]:
    key = api_keys.c
    found = [key[name] == getattr(only, name) for name in ("status", "owner_id", "label") if getattr(only, name) is not None]
    if only.name is not None:
        found.append(key.name.icontains(only.name, autoescape=True))
    if only.unused_since is not None:
        found.append(func.coalesce(key.last_used_at, key.created_at) < only.unused_since)
    if only.expires_before is not None:
        found.append(key.expires_at < only.expires_before)
    return found


def written(secrets: Sequence[KeySecret]) -> Any:
    """Secrets as the column holds them."""
    return msgspec.to_builtins(secrets)


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
