"""Keep our own copy of the projects and organizations: heard at once, checked against the bucket twice a second."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
from nats.errors import Error

from common.contracts.directory import OrganizationRecord, ProjectRecord
from common.contracts.periods import period_day
from common.health import Heartbeat
from usage.outbound import directory_store
from usage.outbound.database import PERMANENT, TRANSIENT, Database
from usage.outbound.directory_feed import DirectoryFeed, Entry, Position
from usage.outbound.ledger_store import Scope
from usage.use_cases.counters import DIRECTORY_RECORDS
from usage.use_cases.raise_alerts import UNJUDGED

log = logging.getLogger(__name__)

CHECK_SECONDS = 0.5
TROUBLE = (*TRANSIENT, Error)

Record = OrganizationRecord | ProjectRecord


class ProjectDirectory:
    """`changed` hears scopes and periods whose limits have changed. `heartbeat` beats when we are level with the bucket."""

    def __init__(self, database: Database, feed: DirectoryFeed, changed: Callable[[frozenset[Scope]], None]) -> None:
        self._database, self._feed, self._changed = database, feed, changed
        self.heartbeat = Heartbeat()
        self._at: Position | None = None
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. Listens first, then reads: nothing falls between."""
        hearing = None
        while True:
            try:
                if hearing is None:
                    hearing = await self._feed.hear(self._heard)
                self._hurry.clear()
                await self._level()
            except TROUBLE as problem:
                log.warning("directory: cannot be read: %s", type(problem).__name__)
                await asyncio.sleep(CHECK_SECONDS)
            else:
                await self._pause()

    def look_now(self) -> None:
        """Somebody knows of a newer record: check the bucket at once, or once more after the check under way."""
        self._hurry.set()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CHECK_SECONDS):
                await self._hurry.wait()

    async def _level(self) -> None:
        now = await self._feed.position()
        if self._at is None or self._at.created != now.created or now.sequence < self._at.sequence:
            await self._apply(await self._feed.read(0))
            log.info("directory: read as a whole", extra={"sequence": now.sequence})
        elif now.sequence > self._at.sequence:
            await self._apply(await self._feed.read(self._at.sequence))
        self._at = now
        self.heartbeat.beat()

    async def _heard(self, entry: Entry) -> None:
        """A change just said: stored at once; the check finds it again half a second later and changes nothing."""
        try:
            await self._apply([entry])
        except TROUBLE as problem:
            log.info("directory: a change could not be stored at once: %s", type(problem).__name__)

    async def _apply(self, entries: Sequence[Entry]) -> None:
        records = [record for entry in entries if (record := _decode(entry))]
        if not records:
            return
        news: list[Record] = []
        async with self._database.transaction() as connection:
            for record in records:
                try:
                    async with connection.transaction():
                        if await directory_store.put(connection, record):
                            news.append(record)
                except PERMANENT as problem:
                    DIRECTORY_RECORDS.labels("refused").inc()
                    log.error("directory: a record cannot be stored: %s", type(problem).__name__)
            zones = await directory_store.time_zones(connection, {record.organization_id for record in news})
        DIRECTORY_RECORDS.labels("applied").inc(len(news))
        now = datetime.now(UTC)
        self._changed(frozenset(scope for record in news for scope in present_scopes(record, zones, now)))


def present_scopes(record: Record, zones: Mapping[str, str], now: datetime) -> tuple[Scope, Scope]:
    """What its limits hold for now: by the zone of its organization, by UTC where that is not known or is none."""
    try:
        day = period_day(now, zones.get(record.organization_id, "UTC"))
    except UNJUDGED:
        day = period_day(now, "UTC")
    return (*_scope(record), day), (*_scope(record), day[:7])


def _scope(record: Record) -> tuple[str, str]:
    return ("project", record.project_id) if isinstance(record, ProjectRecord) else ("organization", record.organization_id)


def _decode(entry: Entry) -> Record | None:
    shape: type[Record] = OrganizationRecord if entry.kind == "organization" else ProjectRecord
    try:
        return msgspec.json.decode(entry.body, type=shape)
    except msgspec.DecodeError as problem:
        DIRECTORY_RECORDS.labels("unreadable").inc()
        log.error("directory: a record cannot be read: %s", problem, extra={"sequence": entry.sequence})
        return None
