"""Streams, buckets and consumers, declared once and created idempotently by one job; the services only verify them."""

from dataclasses import dataclass, field

from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RePublish,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from common.contracts import subjects

MEBIBYTE = 1024 * 1024
REQUESTS_MAX_BYTES = 4096 * MEBIBYTE
DEAD_LETTERS_MAX_BYTES = 256 * MEBIBYTE
DIRECTORY_MAX_BYTES = 4096 * MEBIBYTE
DEAD_LETTERS_MAX_AGE = 30 * 86_400.0


class BusMismatch(RuntimeError):
    """A stream or consumer is missing or not as declared; the message names it and the field."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """A stream with its durable consumers."""

    stream: StreamConfig
    consumers: tuple[ConsumerConfig, ...] = field(default=())

    @property
    def name(self) -> str:
        """The stream's name; every declared stream has one."""
        return self.stream.name or ""


def requests_consumer() -> ConsumerConfig:
    """The one durable consumer that all usage workers share; order does not matter, the database dedupes."""
    return ConsumerConfig(
        durable_name=subjects.REQUESTS_CONSUMER,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=15,  # envelopes in the hands of a worker that died are taken up by another after this many seconds
        max_deliver=-1,
        max_ack_pending=200,
        deliver_policy=DeliverPolicy.ALL,
        filter_subject=subjects.REQUESTS,
    )


def declarations(*, replicas: int = 1, max_bytes_scale: float = 1.0) -> tuple[Declaration, ...]:
    """All streams. `max_bytes_scale` shrinks the reserved sizes for small disks (development, tests)."""

    def size(full: int) -> int:
        return int(full * max_bytes_scale)

    return (
        Declaration(
            StreamConfig(
                name=subjects.REQUESTS_STREAM,
                subjects=[subjects.REQUESTS],
                retention=RetentionPolicy.WORK_QUEUE,
                discard=DiscardPolicy.NEW,
                storage=StorageType.FILE,
                max_bytes=size(REQUESTS_MAX_BYTES),
                num_replicas=replicas,
                duplicate_window=120,
            ),
            (requests_consumer(),),
        ),
        Declaration(
            StreamConfig(
                name=subjects.DEAD_LETTERS_STREAM,
                subjects=[subjects.DEAD_LETTERS],
                retention=RetentionPolicy.LIMITS,
                storage=StorageType.FILE,
                max_bytes=size(DEAD_LETTERS_MAX_BYTES),
                max_age=DEAD_LETTERS_MAX_AGE,
                num_replicas=replicas,
            )
        ),
        Declaration(
            StreamConfig(
                name=subjects.DIRECTORY_STREAM,
                subjects=["$KV.DIRECTORY.>"],
                max_msgs_per_subject=1,
                discard=DiscardPolicy.NEW,
                storage=StorageType.FILE,
                max_bytes=size(DIRECTORY_MAX_BYTES),
                allow_rollup_hdrs=True,
                deny_delete=True,
                allow_direct=True,
                allow_atomic=True,  # filling it in batches of one sync each is ten times as fast
                num_replicas=replicas,
                republish=RePublish(src="$KV.DIRECTORY.>", dest=f"{subjects.DIRECTORY_REPUBLISHED}.>"),
            )
        ),
    )


async def provision(js: JetStreamContext, *, replicas: int = 1, max_bytes_scale: float = 1.0) -> list[str]:
    """Create what is missing and update what differs; returns what was done. Raises BusMismatch if the server kept other values."""
    done = []
    for declaration in declarations(replicas=replicas, max_bytes_scale=max_bytes_scale):
        try:
            await js.stream_info(declaration.name)
            await js.update_stream(declaration.stream)
        except NotFoundError:
            await js.add_stream(declaration.stream)
            done.append(f"created stream {declaration.name}")
        for consumer in declaration.consumers:
            await js.add_consumer(declaration.name, consumer)
    await verify(js)
    return done


async def verify(js: JetStreamContext) -> None:
    """Raises BusMismatch unless every stream and consumer is there with the fields that our guarantees rest on."""
    for declaration in declarations():
        wanted = declaration.stream
        try:
            found = (await js.stream_info(declaration.name)).config
            for consumer in declaration.consumers:
                await js.consumer_info(declaration.name, consumer.durable_name or "")
        except NotFoundError:
            raise BusMismatch(f"{declaration.name}: the stream or its consumer is missing; run the provisioning job") from None
        for attribute in ("retention", "discard", "max_msgs_per_subject", "subjects"):
            want, have = getattr(wanted, attribute), getattr(found, attribute)
            if want is not None and want != have:
                raise BusMismatch(f"{declaration.name}: {attribute} is {have}, not {want}")
