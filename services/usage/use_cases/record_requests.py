"""Book what gateways report: rows, aggregates, ledger and receipts in one transaction per batch; each envelope gets its fate."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal

import msgspec

from common.contracts.prices import PriceBook
from usage.domain.envelopes import Envelope, Parked, open_envelope
from usage.domain.settled_rows import SettledRow
from usage.outbound import boots_store, dead_letters, requests_store
from usage.outbound.bus import Bus
from usage.outbound.database import PERMANENT, TRANSIENT, Database
from usage.outbound.ledger_store import Scope
from usage.use_cases import counters
from usage.use_cases.keep_partitions import Partitions
from usage.use_cases.raise_exhausted import raise_exhausted

log = logging.getLogger(__name__)

BATCH_ROWS = 500

Fate = Literal["done", "again", "never"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One envelope as it came."""

    body: bytes
    headers: Mapping[str, str]
    subject: str
    sequence: int


@dataclass(slots=True)
class _Work:
    delivery: Delivery
    envelope: Envelope
    fate: Fate = "again"


@dataclass(frozen=True, slots=True)
class RecordRequests:
    """After the commit `touched` hears which scopes and periods have been spent in, `used` which keys were used when."""

    database: Database
    bus: Bus
    partitions: Partitions
    book: PriceBook
    touched: Callable[[frozenset[Scope]], None]
    used: Callable[[Iterable[tuple[str, int]]], None]
    today: Callable[[], date] = field(default=lambda: datetime.now(UTC).date())

    async def __call__(self, deliveries: Sequence[Delivery]) -> list[Fate]:
        """The fate of each delivery, in order. `done` and `never` are committed; `again` has changed nothing. Does not raise
        for anything that a message or an outage can cause."""
        works = [_Work(one, open_envelope(one.body, one.headers, self.book)) for one in deliveries]
        counters.HEADER_MISMATCHES.inc(sum(work.envelope.mismatched for work in works))
        ready = [work for work in works if await self._parked(work.delivery, work.envelope.parked)]
        for batch in _batches(ready):
            await self._book(batch)
        for work in works:
            counters.MESSAGES.labels(work.fate).inc()
        return [work.fate for work in works]

    async def _parked(self, delivery: Delivery, parked: Parked | None) -> bool:
        """Whether nothing needs parking, or it is safely parked."""
        if parked is None:
            return True
        try:
            await dead_letters.park(
                self.bus,
                parked.body,
                reason=parked.reason,
                subject=delivery.subject,
                sequence=delivery.sequence,
                headers=dict(delivery.headers),
            )
        except dead_letters.UNREACHABLE as problem:
            log.warning("requests: a dead letter could not be parked: %s", type(problem).__name__)
            return False
        counters.EVENTS.labels("parked").inc()
        log.error("requests: parked as a dead letter: %s", parked.reason, extra={"sequence": delivery.sequence})
        return True

    async def _book(self, batch: Sequence[_Work]) -> None:
        """Book a batch; when its values cannot be stored, each envelope alone, and then each row."""
        try:
            with counters.BATCH_SECONDS.time():
                await self._commit([work.envelope for work in batch])
        except PERMANENT as problem:
            counters.BATCHES.labels("split").inc()
            log.warning("requests: a batch was refused by the database: %s", type(problem).__name__)
            for work in batch:
                await (self._book_rows(work) if len(batch) == 1 else self._book([work]))
        except TRANSIENT as problem:
            counters.BATCHES.labels("retried").inc()
            log.warning("requests: not booked, again later: %s", type(problem).__name__, extra={"envelopes": len(batch)})
        else:
            counters.BATCHES.labels("committed").inc()
            for work in batch:
                work.fate = "never" if work.envelope.parked else "done"

    async def _commit(self, envelopes: Sequence[Envelope]) -> None:
        rows = [row for envelope in envelopes for row in envelope.rows]
        await self.partitions.ensure({date.fromisoformat(row.event.period_day) for row in rows}, self.today())
        async with self.database.transaction() as connection:
            booked = await requests_store.book(connection, rows)
            await raise_exhausted(connection, rows)
            await boots_store.record_receipts(connection, [one.receipt for one in envelopes if one.receipt])
        self._count(rows, booked)

    async def _book_rows(self, work: _Work) -> None:
        """One envelope in which something cannot be stored: the rows that can are, the others are parked, all are receipted."""
        refused: list[SettledRow] = []
        accepted: list[tuple[SettledRow, requests_store.Booked]] = []
        try:
            async with self.database.transaction() as connection:
                for row in work.envelope.rows:
                    try:
                        async with connection.transaction():
                            accepted.append((row, await requests_store.book(connection, [row])))
                    except PERMANENT:
                        refused.append(row)
                await raise_exhausted(connection, [row for row, _ in accepted])
                if work.envelope.receipt:
                    await boots_store.record_receipts(connection, [work.envelope.receipt])
                if not await self._parked(work.delivery, _parked_rows(refused)):
                    raise ConnectionError("not parked")
        except (*TRANSIENT, *PERMANENT) as problem:
            log.warning("requests: envelope not booked, again later: %s", type(problem).__name__)
            return
        for row, booked in accepted:
            self._count([row], booked)
        work.fate = "never" if refused else "done"

    def _count(self, rows: Sequence[SettledRow], booked: requests_store.Booked) -> None:
        counters.EVENTS.labels("recorded").inc(booked.inserted)
        counters.EVENTS.labels("duplicate").inc(len(rows) - booked.inserted)
        counters.COST_DISAGREEMENTS.inc(booked.disagreeing)
        self.touched(booked.touched)
        self.used((row.event.key_id, row.event.admitted_at) for row in rows)


def _parked_rows(rows: Sequence[SettledRow]) -> Parked | None:
    if not rows:
        return None
    return Parked(msgspec.json.encode([row.event for row in rows]), "the database refuses these values")


def _batches(works: Sequence[_Work]) -> Iterator[list[_Work]]:
    """Whole envelopes, up to about 500 rows together."""
    batch: list[_Work] = []
    rows = 0
    for work in works:
        if batch and rows + len(work.envelope.rows) > BATCH_ROWS:
            yield batch
            batch, rows = [], 0
        batch.append(work)
        rows += len(work.envelope.rows)
    if batch:
        yield batch
