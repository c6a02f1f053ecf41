"""Raise alerts for what was spent, then say them: stored before they are said, said again after a crash, told once each."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from nats.errors import Error

from common.contracts.identifiers import uuid7
from common.contracts.subjects import ALERTS
from usage.domain.alerts import Alert, Spending, alerts_for
from usage.outbound import alerts_store
from usage.outbound.bus import Bus
from usage.outbound.database import TRANSIENT, Database
from usage.outbound.ledger_store import Scope, Standing, recently_changed, standings
from usage.use_cases.counters import ALERTS_RAISED, ALERTS_UNJUDGED

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.5
MOST_AT_ONCE = 1_000
LOOK_BACK_SECONDS = 3_600.0
"""What was spent in shortly before the start is looked at again: the process before may have died between its books and its alerts."""

UNJUDGED = (ValueError, KeyError, OverflowError, OSError)
"""What periods and time zones from elsewhere raise; an unknown zone is a KeyError, one that names a folder an OSError."""


class RaiseAlerts:
    """Collects what was touched; `run` looks at it. What could not be looked at is kept for the next round."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database, self._bus = database, bus
        self._waiting: set[Scope] = set()
        self._wake = asyncio.Event()

    def touch(self, touched: frozenset[Scope]) -> None:
        """These have changed."""
        if touched:
            self._waiting |= touched
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        await self._look_back()
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch = frozenset(list(self._waiting)[:MOST_AT_ONCE])
            self._waiting -= batch
            try:
                await self._raise(batch)
                while await self._publish() == MOST_AT_ONCE:
                    pass
            except (*TRANSIENT, Error) as problem:
                log.warning("alerts: not raised, again later: %s", type(problem).__name__)
                self._waiting |= batch
                self._wake.set()
            if self._waiting:
                self._wake.set()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _look_back(self) -> None:
        while True:
            try:
                async with self._database.transaction() as connection:
                    found = await recently_changed(connection, seconds=LOOK_BACK_SECONDS)
            except TRANSIENT as problem:
                log.info("alerts: cannot look back yet: %s", type(problem).__name__)
                await asyncio.sleep(1)
            else:
                self._waiting |= set(found)
                self._wake.set()
                return

    async def _raise(self, batch: frozenset[Scope]) -> None:
        if not batch:
            return
        async with self._database.transaction() as connection:
            found = await standings(connection, batch)
            now = datetime.now(UTC)
            rows = [row for standing in found for row in rows_of(standing, now)]
            ALERTS_RAISED.inc(await alerts_store.raise_alerts(connection, rows))

    async def _publish(self) -> int:
        """How many were said; MOST_AT_ONCE: there may be more."""
        client = self._bus.client
        async with self._database.transaction() as connection:
            alerts = await alerts_store.take_unpublished(connection, limit=MOST_AT_ONCE)
            for alert in alerts:
                body = msgspec.json.encode(alert)
                await client.publish(f"{ALERTS}.{alert.organization_id}", body, headers={"Nats-Msg-Id": alert.alert_id})
            await client.flush(2)
            await alerts_store.mark_published(connection, alerts)
        return len(alerts)


def rows_of(standing: Standing, now: datetime) -> Iterator[tuple[object, ...]]:
    """What is to be stored for a scope's standing; nothing for one whose organization is not known."""
    if standing.organization_id is None:
        return
    for spending in spendings(standing):
        for alert in _judged(spending, standing, now):
            yield row_of(alert, standing)


def row_of(alert: Alert, standing: Standing) -> tuple[object, ...]:
    """An alert as it is stored."""
    return (
        uuid7(),
        alert.kind,
        standing.organization_id,
        standing.project_id,
        standing.scope,
        standing.scope_id,
        standing.period,
        alert.spending.unit,
        alert.threshold,
        alert.percent,
        alert.spending.limit,
        alert.spending.spent,
    )


def _judged(spending: Spending, standing: Standing, now: datetime) -> Iterator[Alert]:
    """Thresholds in any case; a pace that cannot be judged is counted and left out, and stops nobody else's alerts."""
    try:
        yield from alerts_for(spending, standing.alert_percents or (), now)
    except UNJUDGED as problem:
        ALERTS_UNJUDGED.inc()
        where = {"scope": standing.scope, "period": standing.period, "time_zone": standing.time_zone}
        log.warning("alerts: a pace cannot be judged: %s", type(problem).__name__, extra=where)


def spendings(standing: Standing) -> Iterator[Spending]:
    """What was spent of each limit."""
    if standing.limit_tokens is not None:
        yield Spending(standing.period, standing.time_zone, "tokens", standing.limit_tokens, standing.spent_tokens)
    if standing.limit_nanousd is not None:
        yield Spending(standing.period, standing.time_zone, "nanousd", standing.limit_nanousd, standing.spent_nanousd)
