"""The DIRECTORY bucket as we need it: what it holds of projects and organizations, and what changes, by its republished subject."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from common.contracts.subjects import DIRECTORY_REPUBLISHED, DIRECTORY_STREAM
from usage.outbound.bus import Bus

BUCKET_PREFIX = "$KV.DIRECTORY."
KINDS = ("project", "organization")
FETCH = 500
FETCH_SECONDS = 2.0
INACTIVE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Position:
    """How far the bucket has been written, and which bucket it is: `created` changes when it has been made anew."""

    created: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One record as it stands in the bucket, undecoded."""

    kind: str
    body: bytes
    sequence: int


class DirectoryFeed:
    """Reads and hears the bucket. Every call may raise NotConnected or a NATS error."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def position(self) -> Position:
        """Where the bucket is now."""
        info = await self._bus.jetstream.stream_info(DIRECTORY_STREAM)
        return Position(created=str(info.created), sequence=info.state.last_seq)

    async def read(self, after: int) -> list[Entry]:
        """The records written after a sequence (0 = all), by an ephemeral pull consumer that is deleted again."""
        js = self._bus.jetstream
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE if after else DeliverPolicy.LAST_PER_SUBJECT,
            opt_start_seq=after + 1 if after else None,
            filter_subjects=[f"{BUCKET_PREFIX}{kind}.>" for kind in KINDS],
            ack_policy=AckPolicy.NONE,
            inactive_threshold=INACTIVE_SECONDS,
            mem_storage=True,
            num_replicas=1,
        )
        consumer = await js.add_consumer(DIRECTORY_STREAM, config)
        reader = await js.pull_subscribe_bind(consumer=consumer.name, stream=DIRECTORY_STREAM)
        try:
            entries: list[Entry] = []
            waiting = consumer.num_pending or 0
            while waiting > 0:
                messages = await reader.fetch(batch=max(2, min(FETCH, waiting)), timeout=FETCH_SECONDS)
                entries += [entry for message in messages if (entry := _entry(message, BUCKET_PREFIX))]
                waiting = messages[-1].metadata.num_pending
            return entries
        finally:
            await reader.unsubscribe()
            await js.delete_consumer(DIRECTORY_STREAM, consumer.name)

    async def hear(self, said: Callable[[Entry], Awaitable[None]]) -> Subscription:
        """Call `said` with every change from now on; the subscription survives reconnects, but what is said meanwhile is missed."""

        async def heard(message: Msg) -> None:
            entry = _entry(message, f"{DIRECTORY_REPUBLISHED}.")
            if entry:
                await said(entry)

        return await self._bus.client.subscribe(f"{DIRECTORY_REPUBLISHED}.>", cb=heard)


def _entry(message: Msg, prefix: str) -> Entry | None:
    """None for what is no record of ours (a deletion marker, a key's record)."""
    headers = message.headers or {}
    kind = message.subject.removeprefix(prefix).partition(".")[0]
    if kind not in KINDS or "KV-Operation" in headers:
        return None
    sequence = headers.get("Nats-Sequence")
    return Entry(kind, message.data, int(sequence) if sequence else message.metadata.sequence.stream)
