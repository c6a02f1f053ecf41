"""The DIRECTORY bucket: records are put under a fence, so that an older version can never replace a newer one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError, NotFoundError

from accounts.outbound.bus import Bus, BusAway
from common.contracts.subjects import DIRECTORY_STREAM

TIMEOUT_SECONDS = 5.0
WINDOW = 128
NO_MESSAGE_FOUND = 10037
WRONG_LAST_SEQUENCE = (10071, 10164)
FETCH = 1_000
ROOT = "$KV.DIRECTORY."
EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"


class Stored(msgspec.Struct, frozen=True):
    """What the bucket holds under an entry."""

    version: int
    sequence: int


ABSENT = Stored(version=0, sequence=0)
_SNAPSHOT = ConsumerConfig(
    ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.LAST_PER_SUBJECT, filter_subject=f"{ROOT}>", inactive_threshold=30
)


class Put(msgspec.Struct, frozen=True):
    """A record to put; see DirectoryBucket.put_newer."""

    entry: str
    version: int
    payload: bytes
    guess: Stored | None = None


class _Stamp(msgspec.Struct):
    version: int = 0
    generation: int = 0


class DirectoryBucket:
    """All methods raise BusAway when the bus or the bucket does not answer in time."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def created(self) -> str:
        """When the bucket was created: another moment is another bucket, and it may be empty."""
        async with self._jetstream() as jetstream:
            info = await jetstream.stream_info(DIRECTORY_STREAM)
            return info.created.isoformat(timespec="microseconds") if info.created else ""

    async def read(self, entry: str) -> Stored | None:
        """Version and sequence of the current record, as its leader knows them."""
        async with self._jetstream() as jetstream:
            try:
                message = await jetstream.get_last_msg(DIRECTORY_STREAM, _subject(entry))
            except NotFoundError as missing:
                if missing.err_code != NO_MESSAGE_FOUND:
                    raise
                return None
            return Stored(_version_of(message.data or b""), message.seq or 0)

    async def snapshot(self) -> dict[str, Stored]:
        """What the bucket holds under every entry: some 100,000 a second, and some 200 bytes of memory for each."""
        async with self._jetstream() as jetstream:
            consumer = await jetstream.add_consumer(DIRECTORY_STREAM, _SNAPSHOT)
            batches = await jetstream.pull_subscribe_bind(consumer=consumer.name, stream=DIRECTORY_STREAM)
            try:
                return await _all_of(batches, consumer.num_pending or 0)
            finally:
                await batches.unsubscribe()

    async def put_newer(self, entry: str, version: int, payload: bytes, guess: Stored | None = None) -> bool:
        """Put a record unless the bucket has this version or a newer one; whether it was put.

        True and False alike mean that the bucket holds at least this version. `guess` is what it was seen to hold lately and
        saves a look; a wrong guess costs one. The expected sequence is the fence: it also makes a message id unnecessary, for a
        repeated or delayed put of ours no longer fits.
        """
        known = guess or await self.read(entry) or ABSENT
        while known.version < version:
            if await self._put(entry, payload, known.sequence):
                return True
            known = await self.read(entry) or ABSENT
        return False

    async def put_many(self, puts: Sequence[Put]) -> list[bool | BusAway]:
        """Put records of different entries side by side; for each what put_newer answered, or why the bus did not take it."""
        window = asyncio.Semaphore(WINDOW)

        async def one(put: Put) -> bool | BusAway:
            async with window:
                try:
                    return await self.put_newer(put.entry, put.version, put.payload, put.guess)
                except BusAway as away:
                    return away

        return await asyncio.gather(*map(one, puts))

    async def _put(self, entry: str, payload: bytes, expected: int) -> bool:
        async with self._jetstream() as jetstream:
            try:
                await jetstream.publish(
                    _subject(entry), payload, timeout=TIMEOUT_SECONDS, headers={EXPECTED_SEQUENCE: str(expected)}
                )
            except APIError as refused:
                if refused.err_code in WRONG_LAST_SEQUENCE:
                    return False
                raise
            return True

    @asynccontextmanager
    async def _jetstream(self) -> AsyncIterator[JetStreamContext]:
        try:
            yield self._bus.client.jetstream(timeout=TIMEOUT_SECONDS)
        except (TimeoutError, NatsError, OSError) as problem:
            raise BusAway(str(problem) or type(problem).__name__) from problem


async def _all_of(batches: JetStreamContext.PullSubscription, expected: int) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    remaining = expected
    while remaining > 0:
        for message in await batches.fetch(min(FETCH, remaining), timeout=TIMEOUT_SECONDS):
            found[message.subject.removeprefix(ROOT)] = Stored(_version_of(message.data), message.metadata.sequence.stream)
            remaining = message.metadata.num_pending
    return found


def _subject(entry: str) -> str:
    return f"{ROOT}{entry}"


def _version_of(body: bytes) -> int:
    try:
        stamp = msgspec.json.decode(body, type=_Stamp)
    except msgspec.MsgspecError:
        return 0  # whatever that is, any record of ours is newer
    return max(stamp.version, stamp.generation)
