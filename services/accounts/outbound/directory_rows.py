"""The rows that the directory announces: read in chunks, and raised all at once when their records have a new shape."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.domain.objects import Key, Member, Organization, Project, Record, ServiceAccount
from accounts.outbound.keys import keys_after
from accounts.outbound.members import members_after
from accounts.outbound.organizations import organizations_after
from accounts.outbound.projects import projects_after
from accounts.outbound.service_accounts import service_accounts_after
from accounts.outbound.tables import api_keys, memberships, organizations, projects, service_accounts

CHUNK = 1_000
LOWEST = "00000000-0000-0000-0000-000000000000"
Announced = Organization | Project | Member | ServiceAccount | Key
Reader = Callable[[AsyncConnection, Any, int], Awaitable[Sequence[Announced]]]


@dataclass(frozen=True, slots=True)
class Source:
    """A table of announced rows; `counted_as` is the manifest's word for them."""

    counted_as: str
    table: Table
    read: Reader
    first: Any = LOWEST


SOURCES = (
    Source("organizations", organizations, organizations_after),
    Source("projects", projects, projects_after),
    Source("members", memberships, members_after, (LOWEST, LOWEST)),
    Source("members", service_accounts, service_accounts_after),
    Source("keys", api_keys, keys_after),
)
"""In this order, so that a key never arrives before what it belongs to."""


async def records_of(engine: AsyncEngine, source: Source) -> AsyncIterator[list[Record]]:
    """All records in chunks; each chunk in a transaction of its own, so that nothing is held up."""
    last = source.first
    while True:
        async with engine.begin() as connection:
            items = await source.read(connection, last, CHUNK)
        if not items:
            return
        yield [item.record() for item in items]
        last = _place(items[-1])


def _place(item: Announced) -> Any:
    return (item.organization_id, item.user_id) if isinstance(item, Member) else item.id


async def raise_versions(engine: AsyncEngine) -> int:
    """Give every announced row its next version; how many there were. In chunks: a change waits for a moment, not for all."""
    return sum([await _raise(engine, source.table) for source in SOURCES])


async def _raise(engine: AsyncEngine, table: Table) -> int:
    place, count = tuple_(*table.primary_key), 0
    chunk = select(*table.primary_key).order_by(*table.primary_key).limit(CHUNK)
    last: tuple[Any, ...] = (LOWEST,) * len(table.primary_key)
    while True:
        async with engine.begin() as connection:
            places = [tuple(row) for row in await connection.execute(chunk.where(place > last))]
            if not places:
                return count
            await connection.execute(update(table).where(place.in_(places)).values(version=table.c.version + 1))
        last, count = places[-1], count + len(places)
