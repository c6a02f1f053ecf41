"""The other side of the bus for the shipper's tests: receives envelopes, keeps what arrived, says watermarks."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from common.contracts.events import HEADER_BOOT, HEADER_CLOSE, HEADER_FROM, HEADER_TO, RequestSettled, Watermark
from common.contracts.subjects import REQUESTS_CONSUMER, REQUESTS_STREAM, WATERMARKS

_decode = msgspec.json.Decoder(list[RequestSettled | None]).decode


@dataclass
class Boot:
    """What arrived of one boot: number → event id; twice with different ids is an error."""

    events: dict[int, str | None] = field(default_factory=dict)
    close: int | None = None
    envelopes: int = 0
    repeated: int = 0

    @property
    def contiguous(self) -> int:
        """The last number before the first gap."""
        number = 0
        while number + 1 in self.events:
            number += 1
        return number


class UsageSide:
    """A durable consumer, as usage has it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.boots: dict[str, Boot] = {}
        self.largest = 0
        self._subscription: JetStreamContext.PullSubscription | None = None

    async def receive(self, *, until: float = 0.3) -> None:
        """Fetch and acknowledge until nothing has come for that long."""
        if self._subscription is None:  # kept: what comes after a fetch was given up is found by the next
            js = self.client.jetstream()
            self._subscription = await js.pull_subscribe_bind(consumer=REQUESTS_CONSUMER, stream=REQUESTS_STREAM)
        try:
            while True:
                for message in await self._subscription.fetch(50, timeout=until):
                    self._note(message)
                    await message.ack()
        except (nats.errors.Error, TimeoutError):
            return

    async def receive_until(self, true: Callable[[], bool], *, seconds: float = 60) -> None:
        """Receive until it holds, and fail if it does not come to hold."""
        async with asyncio.timeout(seconds):
            while not true():
                await self.receive()

    async def receive_all(self, boot: str, last: int) -> Boot:
        """Until everything up to `last` has come."""
        await self.receive_until(lambda: self.boots.get(boot, Boot()).contiguous >= last)
        return self.boots[boot]

    def _note(self, message: Msg) -> None:
        headers = message.headers or {}
        boot = self.boots.setdefault(headers[HEADER_BOOT], Boot())
        first, last = int(headers[HEADER_FROM]), int(headers[HEADER_TO])
        events = _decode(message.data)
        assert len(events) == last - first + 1
        for number, event in enumerate(events, first):
            event_id = event.event_id if event else None
            assert boot.events.setdefault(number, event_id) == event_id
        boot.envelopes += 1
        self.largest = max(self.largest, len(message.data))
        if HEADER_CLOSE in headers:
            boot.close = int(headers[HEADER_CLOSE])

    async def say(self, boot: str, contiguous: int, *, closed: bool = False) -> None:
        """A watermark."""
        watermark = Watermark(boot=boot, contiguous=contiguous, closed=closed)
        await self.client.publish(f"{WATERMARKS}.{boot}", msgspec.json.encode(watermark))
        await self.client.flush()
