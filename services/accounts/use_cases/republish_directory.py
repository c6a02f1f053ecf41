"""Re-publish the whole directory: for a new bucket, and whenever somebody asks. Safe at any time: only newer versions are put."""

import asyncio
import logging
import time

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.domain.directory_snapshot import DirectorySnapshot
from accounts.domain.objects import SHAPE, Record, entry_of
from accounts.outbound import metrics
from accounts.outbound.bus import BusAway
from accounts.outbound.directory_bucket import DirectoryBucket, Put
from accounts.outbound.directory_rows import SOURCES, raise_versions, records_of
from accounts.outbound.directory_state import DirectoryState, ask_republish, next_generation, note_filled, note_shape, read_state
from common.contracts.directory import MANIFEST_KEY, Manifest

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
REST_SECONDS = 30.0
POLL_SECONDS = 0.2


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
    state = await _state(engine)
    new_bucket = created != state.bucket_created
    if not new_bucket and state.republish_asked <= state.republish_done:
        return False
    known = await bucket.snapshot()
    async with engine.begin() as connection:
        generation = await next_generation(connection, known.meet(MANIFEST_KEY).version)
    log.info("directory: filling the bucket", extra={"generation": generation, "new_bucket": new_bucket, "holds": len(known)})
    counts = await _put_all(engine, bucket, known)
    if await bucket.created() != created:
        return False  # replaced meanwhile: a manifest must not vouch for a bucket that got only a part
    manifest = Manifest(generation=generation, published_at=int(time.time() * 1000), **counts)
    await bucket.put_newer(MANIFEST_KEY, generation, msgspec.json.encode(manifest))
    async with engine.begin() as connection:
        await note_filled(connection, created, state.republish_asked)
    metrics.FILLS.inc()
    log.info("directory: complete", extra={"generation": generation, **counts})
    return True


async def _state(engine: AsyncEngine) -> DirectoryState:
    """As it is now. Records of another shape than this program's are outdone first: every row gets its next version.

    Interrupted, that is begun again, which costs versions and nothing else.
    """
    async with engine.begin() as connection:
        state = await read_state(connection)
    if state.shape == SHAPE:
        return state
    if state.generation:
        raised = await raise_versions(engine)
        log.info("directory: the records have a new shape", extra={"shape": SHAPE, "raised": raised})
    async with engine.begin() as connection:
        await note_shape(connection, SHAPE)
        await ask_republish(connection)
        return await read_state(connection)


async def _put_all(engine: AsyncEngine, bucket: DirectoryBucket, known: DirectorySnapshot) -> dict[str, int]:
    """Put what the bucket lacks; how many there are by kind. What is skipped was there, in the bucket that the manifest is for."""
    counts = dict.fromkeys((source.counted_as for source in SOURCES), 0)
    for source in SOURCES:
        async for records in records_of(engine, source):
            await _put_lacking(bucket, records, known)
            counts[source.counted_as] += len(records)
    return counts


async def _put_lacking(bucket: DirectoryBucket, records: list[Record], known: DirectorySnapshot) -> None:
    seen = [(record, known.meet(entry_of(record))) for record in records]
    lacking = [(record, stored) for record, stored in seen if stored.version < record.version]
    puts = [Put(entry_of(record), record.version, msgspec.json.encode(record), stored) for record, stored in lacking]
    for answer in await bucket.put_many(puts):
        if isinstance(answer, BusAway):
            raise answer
