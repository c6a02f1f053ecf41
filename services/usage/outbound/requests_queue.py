"""The durable consumer of settled requests, as the watchdog sees it."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

from nats.js.errors import NotFoundError

from common.bus.provisioning import requests_consumer
from common.contracts.subjects import REQUESTS_CONSUMER, REQUESTS_STREAM
from usage.outbound.bus import Bus

GREETING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class QueueState:
    """Envelopes waiting or in hand, and which stream it is: `created` changes when it has been made anew."""

    waiting: int
    created: str
    repaired: bool


async def inspect(bus: Bus) -> QueueState:
    """The consumer's state; a missing consumer is made again. Raises NotConnected or a NATS error (the stream is missing)."""
    js = bus.jetstream
    stream = await js.stream_info(REQUESTS_STREAM)
    repaired = False
    try:
        consumer = await js.consumer_info(REQUESTS_STREAM, REQUESTS_CONSUMER)
    except NotFoundError:
        consumer = await js.add_consumer(REQUESTS_STREAM, requests_consumer())
        repaired = True
    waiting = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
    return QueueState(waiting=waiting, created=str(stream.created), repaired=repaired)


async def server_greets(url: str) -> bool:
    """Whether a NATS server answers there at all, by a connection of its own: then a broken client is our own trouble."""
    address = urlsplit(url)
    writer = None
    try:
        async with asyncio.timeout(GREETING_SECONDS):
            reader, writer = await asyncio.open_connection(address.hostname, address.port or 4222)
            return (await reader.readline()).startswith(b"INFO ")
    except (OSError, TimeoutError):
        return False
    finally:
        if writer:
            writer.close()
