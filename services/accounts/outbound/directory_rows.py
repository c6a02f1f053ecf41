"""The rows that the directory announces: read in chunks, found by their entries, and raised to other versions."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, RowMapping, Select, Table, select, tuple_, update
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
    """A table of announced rows. `counted_as` is the manifest's word for them; an entry is the kind and the values of `names`."""

    counted_as: str
    kind: str
    table: Table
    names: tuple[Column[Any], ...]
    read: Reader

    @property
    def place(self) -> tuple[Column[Any], ...]:
        """What the rows are ordered by."""
        return tuple(self.table.primary_key)

    @property
    def first(self) -> tuple[str, ...]:
        """Below all places."""
        return (LOWEST,) * len(self.place)

    def entry(self, row: RowMapping) -> str:
        """The entry of a row that has been read with its `names`."""
        return ".".join((self.kind, *(row[column] for column in self.names)))


_MEMBER_NAMES = (memberships.c.organization_id, memberships.c.user_id)
_SERVICE_ACCOUNT_NAMES = (service_accounts.c.organization_id, service_accounts.c.id)
SOURCES = (
    Source("organizations", "organization", organizations, (organizations.c.id,), organizations_after),
    Source("projects", "project", projects, (projects.c.id,), projects_after),
    Source("members", "member", memberships, _MEMBER_NAMES, members_after),
    Source("members", "member", service_accounts, _SERVICE_ACCOUNT_NAMES, service_accounts_after),
    Source("keys", "key", api_keys, (api_keys.c.lookup,), keys_after),
)
"""In this order, so that a key never arrives before what it belongs to."""


async def records_of(engine: AsyncEngine, source: Source) -> AsyncIterator[list[Record]]:
    """All records in chunks; each chunk in a transaction of its own, so that nothing is held up."""
    last = source.first
    while True:
        async with engine.begin() as connection:
            items = await source.read(connection, last if len(last) > 1 else last[0], CHUNK)
        if not items:
            return
        yield [item.record() for item in items]
        last = _place(items[-1])


def _place(item: Announced) -> tuple[str, ...]:
    return (item.user_id, item.organization_id) if isinstance(item, Member) else (item.id,)


async def versions_of(engine: AsyncEngine, source: Source) -> AsyncIterator[dict[str, int]]:
    """The version of every row by its entry, in chunks."""
    columns = dict.fromkeys((*source.place, *source.names, source.table.c.version))
    query = select(*columns).order_by(*source.place).limit(CHUNK)
    last = source.first
    while True:
        async with engine.begin() as connection:
            rows = (await connection.execute(query.where(tuple_(*source.place) > last))).mappings().all()
        if not rows:
            return
        yield {source.entry(row): row["version"] for row in rows}
        last = tuple(rows[-1][column] for column in source.place)


async def raise_versions(engine: AsyncEngine) -> int:
    """Give every announced row its next version; how many there were. In chunks: a change waits for a moment, not for all."""
    return sum([await _raise(engine, source) for source in SOURCES])


async def _raise(engine: AsyncEngine, source: Source) -> int:
    place, count = tuple_(*source.place), 0
    chunk: Select[Any] = select(*source.place).order_by(*source.place).limit(CHUNK)
    last = source.first
    while True:
        async with engine.begin() as connection:
            places = [tuple(row) for row in await connection.execute(chunk.where(place > last))]
            if not places:
                return count
            await connection.execute(update(source.table).where(place.in_(places)).values(version=source.table.c.version + 1))
        last, count = places[-1], count + len(places)
