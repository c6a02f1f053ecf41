"""The DIRECTORY bucket: records are put under a fence, so that an older version can never replace a newer one."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError, NotFoundError

from accounts.domain.directory_snapshot import ABSENT, DirectorySnapshot, Stored
from accounts.outbound.atomic_batch import Refused, publish_together
from accounts.outbound.bus import Bus, BusAway
from common.contracts.subjects import DIRECTORY_STREAM

TIMEOUT_SECONDS = 5.0
WINDOW = 128
NO_MESSAGE_FOUND = 10037
WRONG_LAST_SEQUENCE = (10071, 10164)
FETCH = 1_000
ROOT = "$KV.DIRECTORY."
EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
FEWEST_TOGETHER = 16
MOST_TOGETHER = 1_000
MOST_BYTES_TOGETHER = 1024 * 1024
"""What the server takes as one batch, and what the client may send without waiting."""


_ALL = ConsumerConfig(
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
    status: str = ""


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
        """What its leader holds under the entry."""
        found = await self.read_record(entry)
        return None if found is None else found[0]

    async def read_record(self, entry: str) -> tuple[Stored, bytes] | None:
        """The same with the record itself."""
        async with self._jetstream() as jetstream:
            try:
                message = await jetstream.get_last_msg(DIRECTORY_STREAM, _subject(entry))
            except NotFoundError as missing:
                _require_stream(missing)
                return None
            body = message.data or b""
            return _stored(body, message.seq or 0), body

    async def entry_at(self, sequence: int) -> str | None:
        """The entry that was put at this sequence; None when it has been put again since."""
        async with self._jetstream() as jetstream:
            try:
                message = await jetstream.get_msg(DIRECTORY_STREAM, sequence)
            except NotFoundError as missing:
                _require_stream(missing)
                return None
            return (message.subject or "").removeprefix(ROOT)

    async def snapshot(self) -> DirectorySnapshot:
        """What the bucket holds under every entry: some 100,000 a second. What is put meanwhile may or may not be in it."""
        snapshot = DirectorySnapshot()
        async with self._jetstream() as jetstream:
            consumer = await jetstream.add_consumer(DIRECTORY_STREAM, _ALL)
            batches = await jetstream.pull_subscribe_bind(consumer=consumer.name, stream=DIRECTORY_STREAM)
            try:
                await _take_all(batches, consumer.num_pending or 0, snapshot)
            finally:
                await batches.unsubscribe()
        snapshot.settle()
        return snapshot

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
        """Put records of different entries; for each what put_newer answered, or why the bus did not take it.

        Many of them with a guess go in batches, each fenced like a single one and taken whole or not at all; a batch that was not
        taken is put one by one, side by side.
        """
        answers: dict[str, bool | BusAway] = {}
        for batch in _batches([put for put in puts if put.guess is not None and put.guess.version < put.version]):
            answers |= await self._put_together(batch)
        rest = [put for put in puts if put.entry not in answers]
        window = asyncio.Semaphore(WINDOW)

        async def one(put: Put) -> bool | BusAway:
            async with window:
                try:
                    return await self.put_newer(put.entry, put.version, put.payload, put.guess)
                except BusAway as away:
                    return away

        answers |= zip((put.entry for put in rest), await asyncio.gather(*map(one, rest)), strict=True)
        return [answers[put.entry] for put in puts]

    async def _put_together(self, batch: list[Put]) -> dict[str, bool | BusAway]:
        """What became of each; nothing when the batch was refused, for a guess was wrong or the stream does not take batches."""
        messages = [(_subject(put.entry), put.payload, {EXPECTED_SEQUENCE: str((put.guess or ABSENT).sequence)}) for put in batch]
        answer: bool | BusAway = True
        try:
            async with self._jetstream():
                await publish_together(self._bus.client, messages, timeout=TIMEOUT_SECONDS)
        except Refused:
            return {}
        except BusAway as away:
            answer = away
        return dict.fromkeys((put.entry for put in batch), answer)

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


async def _take_all(batches: JetStreamContext.PullSubscription, expected: int, snapshot: DirectorySnapshot) -> None:
    remaining = expected
    while remaining > 0:
        for message in await batches.fetch(min(FETCH, remaining), timeout=TIMEOUT_SECONDS):
            sequence = message.metadata.sequence.stream
            snapshot.add(message.subject.removeprefix(ROOT), _stored(message.data, sequence))
            remaining = message.metadata.num_pending


def _require_stream(missing: NotFoundError) -> None:
    """That there is no such message is an answer, that there is no such stream is a fault."""
    if missing.err_code != NO_MESSAGE_FOUND:
        raise missing


def _batches(puts: Sequence[Put]) -> Iterator[list[Put]]:
    """Runs that fit into one batch; fewer than are worth one are left out."""
    batch: list[Put] = []
    size = 0
    for put in puts:
        if len(batch) == MOST_TOGETHER or size + len(put.payload) > MOST_BYTES_TOGETHER:
            yield batch
            batch, size = [], 0
        batch.append(put)
        size += len(put.payload)
    if len(batch) >= FEWEST_TOGETHER:
        yield batch


def _subject(entry: str) -> str:
    return f"{ROOT}{entry}"


def _stored(body: bytes, sequence: int) -> Stored:
    try:
        stamp = msgspec.json.decode(body, type=_Stamp)
    except msgspec.MsgspecError:
        return Stored(0, sequence)  # whatever that is, any record of ours is newer
    return Stored(max(stamp.version, stamp.generation), sequence, stamp.status)
