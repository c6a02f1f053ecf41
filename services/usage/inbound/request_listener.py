"""Hears the stream of settled requests: one supervised pull loop per process, any number of processes share the durable."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence

from nats.aio.msg import Msg
from nats.errors import Error
from nats.js import JetStreamContext

from common.contracts.subjects import REQUESTS_CONSUMER, REQUESTS_STREAM
from common.health import Heartbeat
from usage.use_cases.record_requests import Delivery, Fate

log = logging.getLogger(__name__)

MOST_ENVELOPES = 64
COLLECT_SECONDS = 0.2
IN_FLIGHT_SECONDS = 0.05
LONGEST_DELAY_SECONDS = 60.0

Record = Callable[[Sequence[Delivery]], Awaitable[list[Fate]]]


def delay_after(deliveries: int, jitter: float) -> float:
    """Seconds until the next try of a message that failed `deliveries` times; `jitter` in 0…1 spreads them by ±50 %."""
    return min(LONGEST_DELAY_SECONDS, 0.5 * 2.0 ** min(deliveries, 10) * (0.5 + jitter))


class RequestListener:
    """Fetches, hands over, acknowledges. `heartbeat` beats with every completed fetch, empty ones included."""

    def __init__(self, jetstream: Callable[[], JetStreamContext], record: Record) -> None:
        self._jetstream, self._record = jetstream, record
        self.heartbeat = Heartbeat()
        self._stopping = asyncio.Event()
        self._subscription: JetStreamContext.PullSubscription | None = None

    async def run(self) -> None:
        """Until `stop`; what has been fetched by then is still booked."""
        failures = 0
        while not self._stopping.is_set():
            try:
                messages = await self._fetch()
                failures = 0
            except (Error, OSError, TimeoutError) as problem:
                failures += 1
                log.warning("requests: cannot fetch: %s", type(problem).__name__)
                await asyncio.sleep(min(2.0, 0.1 * 2 ** min(failures, 6)))
                await self._unbind()
                continue
            if messages:
                await self._handle(messages)
        await self._finish()
        await self._unbind()

    def stop(self) -> None:
        """Take nothing more; `run` returns after the batch in hand."""
        self._stopping.set()

    async def _fetch(self) -> list[Msg]:
        """What came within the window, or sooner a full batch: fewer, larger transactions under load."""
        if self._subscription is None:
            self._subscription = await self._jetstream().pull_subscribe_bind(REQUESTS_CONSUMER, REQUESTS_STREAM)
        try:
            messages = await self._subscription.fetch(batch=MOST_ENVELOPES, timeout=COLLECT_SECONDS)
        except TimeoutError:
            messages = []
        self.heartbeat.beat()
        return messages

    async def _finish(self) -> None:
        """Book what the server has sent beyond the last fetch; left alone, it would come again only after the ack wait."""
        await asyncio.sleep(IN_FLIGHT_SECONDS)
        if self._subscription is not None and self._subscription.pending_msgs:
            try:
                await self._handle(await self._fetch())
            except (Error, OSError) as problem:
                log.info("requests: the last fetch failed: %s", type(problem).__name__)

    async def _unbind(self) -> None:
        """Forget the subscription, so that the next fetch makes a new one."""
        subscription, self._subscription = self._subscription, None
        if subscription:
            try:
                await subscription.unsubscribe()
            except (Error, OSError, ValueError) as problem:
                log.info("requests: the old subscription was gone: %s", type(problem).__name__)

    async def _handle(self, messages: list[Msg]) -> None:
        fates = await self._record([_delivery(message) for message in messages])
        for message, fate in zip(messages, fates, strict=True):
            try:
                await _tell(message, fate)
            except (Error, OSError) as problem:
                # It will come again, and change nothing.
                log.info("requests: an acknowledgement was lost: %s", type(problem).__name__)


def _delivery(message: Msg) -> Delivery:
    return Delivery(
        body=message.data,
        headers=message.headers or {},
        subject=message.subject,
        sequence=message.metadata.sequence.stream,
    )


async def _tell(message: Msg, fate: Fate) -> None:
    if fate == "done":
        await message.ack()
    elif fate == "never":
        await message.term()
    else:
        await message.nak(delay=delay_after(message.metadata.num_delivered, random.random()))  # noqa: S311 - jitter, no secret
