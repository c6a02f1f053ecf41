"""Our one connection to NATS: opened in the background, so that accounts starts and answers while the bus is away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from common.bus.connection import ServerTooOld, connect
from common.health import Heartbeat

log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0
FLUSH_SECONDS = 1.0

Listener = Callable[[Msg], Awaitable[None]]


class BusAway(Exception):
    """The bus did not take or answer something; nobody knows whether it will later. Try again."""


class Bus:
    """Connects, subscribes, and connects anew should the client ever end up closed; `heartbeat` says when it last answered."""

    def __init__(self, url: str, password: str) -> None:
        self._url, self._password = url, password
        self._listeners: dict[str, tuple[Listener, str]] = {}
        self._client: Client | None = None
        self._first = asyncio.Event()
        self.heartbeat = Heartbeat()

    def listen(self, subject: str, listener: Listener, *, queue: str = "") -> None:
        """Hear a subject on every connection; with a queue one replica of those hears each message. Call before `run`."""
        self._listeners[subject] = (listener, queue)

    @property
    def client(self) -> Client:
        """The connected client; raises BusAway at once instead of buffering while it is not."""
        if self._client is None or not self._client.is_connected:
            raise BusAway("not connected to NATS")
        return self._client

    async def wait_connected(self, seconds: float) -> None:
        """Until `run`, begun elsewhere, has connected; raises BusAway."""
        try:
            async with asyncio.timeout(seconds):
                await self._first.wait()
        except TimeoutError:
            raise BusAway("not connected to NATS") from None

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        while True:
            try:
                await self._watch()
            except (NatsError, OSError, TimeoutError, ServerTooOld) as problem:
                log.warning("bus: %s", str(problem) or type(problem).__name__)
            await asyncio.sleep(WATCH_SECONDS)

    async def close(self) -> None:
        """Close the connection; safe in any state."""
        if self._client is not None and not self._client.is_closed:
            await self._client.close()

    async def _watch(self) -> None:
        if self._client is None or self._client.is_closed:
            client = await connect(url=self._url, service="accounts", password=self._password, name="accounts")
            for subject, (listener, queue) in self._listeners.items():
                await client.subscribe(subject, queue=queue, cb=listener)
            self._client = client
            self._first.set()
            log.info("bus: connected")
        if self._client.is_connected:
            await self._client.flush(timeout=FLUSH_SECONDS)  # type: ignore[arg-type] # annotated int, used as seconds
            self.heartbeat.beat()
