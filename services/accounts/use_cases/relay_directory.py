"""The relay: on one replica at a time, carries the outbox into the DIRECTORY bucket and keeps the bucket complete."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence

import psycopg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.domain.directory_snapshot import ABSENT
from accounts.outbound import metrics
from accounts.outbound.bus import BusAway
from accounts.outbound.directory_bucket import DirectoryBucket, Put
from accounts.outbound.leadership import leadership
from accounts.outbound.outbox import OutboxRow, remove, waiting
from accounts.use_cases.repair_entry import repair_entry
from accounts.use_cases.republish_directory import keep_filled

log = logging.getLogger(__name__)

BATCH = 1_000
RETRY_SECONDS = 0.25
RETRY_CEILING_SECONDS = 1.0
Chore = Callable[[], Coroutine[None, None, None]]
"""Something that one replica alone should do, until cancelled."""


async def relay_directory(engine: AsyncEngine, bucket: DirectoryBucket, *chores: Chore) -> None:
    """Lead when nobody else does, until cancelled; whatever goes wrong, begin again. Who leads does the chores, too."""
    while True:
        try:
            await _lead(engine, bucket, chores)
        except* (psycopg.Error, SQLAlchemyError, OSError) as away:
            log.warning("relay: the database is away: %s", type(away.exceptions[0]).__name__)
        finally:
            metrics.RELAY_LEADS.set(0)
        metrics.RELAY_FAILURES.inc()
        await asyncio.sleep(RETRY_SECONDS)


async def _lead(engine: AsyncEngine, bucket: DirectoryBucket, chores: Sequence[Chore]) -> None:
    async with leadership(engine.url) as lead, asyncio.TaskGroup() as tasks:
        log.info("relay: this replica relays")
        metrics.RELAY_LEADS.set(1)
        wake = asyncio.Event()
        tasks.create_task(lead.listen(wake))
        tasks.create_task(_drain(engine, bucket, wake))
        tasks.create_task(keep_filled(engine, bucket))
        for chore in chores:
            tasks.create_task(chore())


async def _drain(engine: AsyncEngine, bucket: DirectoryBucket, wake: asyncio.Event) -> None:
    """Empty the outbox at every wake; rows wait in it while the bus is away."""
    pause = RETRY_SECONDS
    while True:
        await wake.wait()
        wake.clear()
        try:
            while await relay_batch(engine, bucket):
                pass
            pause = RETRY_SECONDS
        except BusAway as away:
            log.warning("relay: the bus is away: %s", away)
            metrics.RELAY_FAILURES.inc()
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_CEILING_SECONDS)
            wake.set()


async def relay_batch(engine: AsyncEngine, bucket: DirectoryBucket) -> bool:
    """Put the oldest rows and delete those that the bus has acknowledged; whether there were any. Raises BusAway."""
    async with engine.begin() as connection:
        rows = await waiting(connection, BATCH)
    if not rows:
        return False
    newest = {row.entry: row for row in sorted(rows, key=lambda row: row.version)}
    answers = await bucket.put_many([_put_of(row) for row in newest.values()])
    arrived = {entry for entry, answer in zip(newest, answers, strict=True) if not isinstance(answer, BusAway)}
    await _forget(engine, [row.id for row in rows if row.entry in arrived])
    for entry, answer in zip(newest, answers, strict=True):
        if isinstance(answer, BusAway):
            raise answer
        metrics.RELAY_PUTS.labels("put" if answer else "older").inc()
        if not answer:  # put by a filling of the bucket, or what a database that has been restored does not know
            await repair_entry(engine, bucket, entry)
    return True


def _put_of(row: OutboxRow) -> Put:
    """The first version of an object is most likely not there yet."""
    return Put(row.entry, row.version, row.payload, ABSENT if row.version == 1 else None)


async def _forget(engine: AsyncEngine, identifiers: Sequence[int]) -> None:
    if identifiers:
        async with engine.begin() as connection:
            await remove(connection, identifiers)
