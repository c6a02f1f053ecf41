"""The row behind one entry of the directory: locked, and raised above what the bucket has."""

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Key, Organization, Project, ServiceAccount
from accounts.outbound.directory_rows import SOURCES, Announced, Source
from accounts.outbound.limit_columns import joined
from accounts.outbound.members import find_member
from accounts.outbound.tables import api_keys, memberships, organizations, outbox, projects, service_accounts

_SHAPES: dict[Any, type[Organization | Project | ServiceAccount | Key]] = {
    organizations: Organization,
    projects: Project,
    service_accounts: ServiceAccount,
    api_keys: Key,
}


async def locked_row(connection: AsyncConnection, entry: str) -> Announced | None:
    """The object behind an entry, unchanged until the end of the transaction; None when there is no such row."""
    for source, condition in _places(entry):
        found = await connection.execute(select(source.table).where(*condition).with_for_update())
        row = found.mappings().one_or_none()
        if row is None:
            continue
        if source.table is memberships:
            return await find_member(connection, row["organization_id"], row["user_id"])
        return msgspec.convert(joined(row), _SHAPES[source.table])
    return None


async def overtake(connection: AsyncConnection, entry: str, version: int, **changes: Any) -> Announced | None:
    """Give the row this version and these values; the object as it then is."""
    for source, condition in _places(entry):
        values = {**changes, "version": version, "updated_at": func.now()}
        await connection.execute(update(source.table).where(*condition).values(values))
    return await locked_row(connection, entry)


async def is_waiting(connection: AsyncConnection, entry: str) -> bool:
    """Whether a record of this entry is still on its way to the bucket."""
    return (await connection.execute(select(outbox.c.id).where(outbox.c.entry == entry).limit(1))).first() is not None


def _places(entry: str) -> list[tuple[Source, list[ColumnElement[bool]]]]:
    """Where the row may be; a member is a person or a service account, whose identifiers are never the same."""
    kind, *values = entry.split(".")
    sources = [source for source in SOURCES if source.kind == kind and len(source.names) == len(values)]
    if kind != "key" and not all(map(_is_identifier, values)):
        return []
    return [(source, [name == value for name, value in zip(source.names, values, strict=True)]) for source in sources]


def _is_identifier(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
