"""Compare the bucket with the database, report the drift and repair it."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.domain.directory_drift import DRIFTS, Drift
from accounts.domain.directory_snapshot import DirectorySnapshot
from accounts.domain.principal import SYSTEM
from accounts.outbound import metrics
from accounts.outbound.audit import note
from accounts.outbound.bus import BusAway
from accounts.outbound.directory_bucket import DirectoryBucket
from accounts.outbound.directory_rows import SOURCES, versions_of
from accounts.outbound.directory_state import ask_republish, read_state
from accounts.use_cases.repair_entry import repair_entry
from common.contracts.directory import MANIFEST_KEY

log = logging.getLogger(__name__)

MOST_ONE_BY_ONE = 5_000
RETRY_SECONDS = 5.0


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared and found, by kind of drift."""

    entries: int
    rows: int
    drift: dict[Drift, int]
    repaired: dict[Drift, int]
    more: bool = False
    """There was too much to look at in one round; unless nothing was to be repaired, filling the bucket again has been asked for."""

    @property
    def remains(self) -> bool:
        """Whether the bucket still differs from the database, for the time being or until somebody mends it by hand."""
        return self.more or self.drift != self.repaired

    def __str__(self) -> str:
        compared = f"{self.entries} entries compared with {self.rows} rows"
        kinds = [f"{kind}: {count} ({self.repaired[kind]} repaired)" for kind, count in self.drift.items() if count]
        return f"{compared}; {', '.join(kinds) or 'no drift'}{'; there is more' if self.more else ''}"

    def as_json(self) -> str:
        """One line."""
        return msgspec.json.encode(self).decode()


async def keep_reconciled(engine: AsyncEngine, bucket: DirectoryBucket, seconds: float) -> None:
    """At once, and then each time after so many seconds, until cancelled."""
    while True:
        try:
            done = await reconcile_directory(engine, bucket)
        except BusAway as away:
            log.warning("reconciliation: the bus is away: %s", away)
            done = None
        await asyncio.sleep(min(seconds, RETRY_SECONDS) if done is None or done.more else seconds)


async def reconcile_directory(engine: AsyncEngine, bucket: DirectoryBucket, *, repair: bool = True) -> Reconciled | None:
    """What was found; None when the bucket has not been filled yet. Safe at any time and from several places. Raises BusAway.

    Without `repair` nothing is changed, in the bucket or in the database.
    """
    async with engine.begin() as connection:
        state = await read_state(connection)
    if state.bucket_created != await bucket.created():
        return None
    known = await bucket.snapshot()
    known.meet(MANIFEST_KEY)
    suspects, rows = await _suspects(engine, known)
    strangers = [entry async for entry in _strangers(bucket, known)]
    too_many = len(suspects) == MOST_ONE_BY_ONE
    if repair and too_many and state.republish_asked <= state.republish_done:
        await _ask_for_all(engine)
    found: Counter[Drift] = Counter()
    repaired: Counter[Drift] = Counter()
    for entry in suspects + strangers:
        drift, is_repaired = await repair_entry(engine, bucket, entry, repair=repair)
        if drift is not None:
            found[drift] += 1
            repaired[drift] += is_repaired
    result = Reconciled(
        entries=len(known),
        rows=rows,
        drift={drift: found[drift] for drift in DRIFTS},
        repaired={drift: repaired[drift] for drift in DRIFTS},
        more=too_many,
    )
    _report(result)
    return result


async def _suspects(engine: AsyncEngine, known: DirectorySnapshot) -> tuple[list[str], int]:
    """The first entries whose version is not the row's, and how many rows there are. Some have only changed meanwhile."""
    suspects: list[str] = []
    rows = 0
    for source in SOURCES:
        async for versions in versions_of(engine, source):
            rows += len(versions)
            suspects += [entry for entry, version in versions.items() if known.meet(entry).version != version]
            del suspects[MOST_ONE_BY_ONE:]
    return suspects, rows


async def _strangers(bucket: DirectoryBucket, known: DirectorySnapshot) -> AsyncIterator[str]:
    """Entries that no row has been met for."""
    for _, sequence in zip(range(MOST_ONE_BY_ONE), known.strangers(), strict=False):
        entry = await bucket.entry_at(sequence)
        if entry is not None:
            yield entry


async def _ask_for_all(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await ask_republish(connection)
        await note(connection, SYSTEM, "directory.repaired", None, after={"object": "all"})


def _report(result: Reconciled) -> None:
    for drift, count in result.drift.items():
        metrics.DIRECTORY_DRIFT.labels(drift).set(count)
    if any(result.drift.values()):
        log.warning("reconciliation: the directory drifted", extra=msgspec.to_builtins(result))
