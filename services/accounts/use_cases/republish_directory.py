"""Re-publish the whole directory: for a new bucket, and whenever somebody asks. Safe at any time: only newer versions are put."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.domain.objects import Key, Organization, Project, Record, entry_of
from accounts.outbound import metrics
from accounts.outbound.bus import BusAway
from accounts.outbound.directory_bucket import ABSENT, DirectoryBucket, Put, Stored
from accounts.outbound.directory_state import ask_republish, next_generation, note_filled, read_state
from accounts.outbound.keys import keys_after
from accounts.outbound.organizations import organizations_after
from accounts.outbound.projects import projects_after
from common.contracts.directory import MANIFEST_KEY, Manifest

log = logging.getLogger(__name__)

CHUNK = 1_000
CHECK_SECONDS = 1.0
REST_SECONDS = 30.0
POLL_SECONDS = 0.2
LOWEST_ID = "00000000-0000-0000-0000-000000000000"
Reader = Callable[[AsyncConnection, str, int], Awaitable[Sequence[Organization | Project | Key]]]
READERS: dict[str, Reader] = {"organizations": organizations_after, "projects": projects_after, "keys": keys_after}
"""In this order, so that a key never arrives before what it belongs to."""


async def republish_directory(engine: AsyncEngine, timeout_seconds: float) -> int | None:
    """Ask the relay for it and wait; the new generation, or None when no relay has done it in time."""
    async with engine.begin() as connection:
        asked = await ask_republish(connection)
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        async with engine.begin() as connection:
            state = await read_state(connection)
        if state.republish_done >= asked:
            return state.generation
        await asyncio.sleep(POLL_SECONDS)
    return None


async def keep_filled(engine: AsyncEngine, bucket: DirectoryBucket) -> None:
    """Each second: fill the bucket if it is another one than last time, or if somebody has asked.

    After a costly attempt that failed it rests as long as that took, half a minute at most.
    """
    while True:
        started, rest = time.monotonic(), CHECK_SECONDS
        try:
            await fill_if_needed(engine, bucket)
        except BusAway as away:
            log.warning("directory: the bus is away: %s", away)
            rest = max(CHECK_SECONDS, min(time.monotonic() - started, REST_SECONDS))
        await asyncio.sleep(rest)


async def fill_if_needed(engine: AsyncEngine, bucket: DirectoryBucket) -> bool:
    """Whether it was filled completely. Raises BusAway half-way; the next check begins again, where this one got to."""
    created = await bucket.created()
    async with engine.begin() as connection:
        state = await read_state(connection)
    new_bucket = created != state.bucket_created
    if not new_bucket and state.republish_asked <= state.republish_done:
        return False
    async with engine.begin() as connection:
        generation = await next_generation(connection)
    log.info("directory: filling the bucket", extra={"generation": generation, "new_bucket": new_bucket})
    known = await bucket.snapshot()
    counts = {kind: await _put_all(engine, bucket, kind, known) for kind in READERS}
    if await bucket.created() != created:
        return False  # replaced meanwhile: a manifest must not vouch for a bucket that got only a part
    manifest = Manifest(generation=generation, published_at=int(time.time() * 1000), **counts)
    await bucket.put_newer(MANIFEST_KEY, generation, msgspec.json.encode(manifest))
    async with engine.begin() as connection:
        await note_filled(connection, created, state.republish_asked)
    metrics.FILLS.inc()
    log.info("directory: complete", extra={"generation": generation, **counts})
    return True


async def _put_all(engine: AsyncEngine, bucket: DirectoryBucket, kind: str, known: dict[str, Stored]) -> int:
    """Put what the bucket lacks; how many there are. What is skipped was there, in the bucket that the manifest is for."""
    count = 0
    async for records in _chunks(engine, kind):
        seen = [(record, known.get(entry_of(record), ABSENT)) for record in records]
        lacking = [(record, stored) for record, stored in seen if stored.version < record.version]
        puts = [Put(entry_of(record), record.version, msgspec.json.encode(record), stored) for record, stored in lacking]
        for answer in await bucket.put_many(puts):
            if isinstance(answer, BusAway):
                raise answer
        count += len(records)
    return count


async def _chunks(engine: AsyncEngine, kind: str) -> AsyncIterator[list[Record]]:
    """All rows by identifier; each chunk in a transaction of its own, so that nothing is held up."""
    last = LOWEST_ID
    while True:
        async with engine.begin() as connection:
            items = await READERS[kind](connection, last, CHUNK)
        if not items:
            return
        yield [item.record() for item in items]
        last = items[-1].id
