"""Our own connection to NATS for what we say and look up; the listeners have another one. Nothing here blocks the start."""

import asyncio
import logging

from nats.aio.client import Client
from nats.errors import Error
from nats.js import JetStreamContext

from common.bus import connection
from common.bus.connection import ServerTooOld

log = logging.getLogger(__name__)

JETSTREAM_SECONDS = 3.0
RETRY_SECONDS = 1.0


class NotConnected(ConnectionError):
    """There is no connection to NATS now."""


class Bus:
    """A connection that is made in the background and kept. `connected` says whether it works now."""

    def __init__(self, url: str, password: str) -> None:
        self._url, self._password = url, password
        self._client: Client | None = None
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Connect, however long it takes; then the client keeps the connection by itself."""
        while self._client is None:
            try:
                self._client = await connection.connect(url=self._url, service="usage", password=self._password, name="usage")
            except (Error, OSError, TimeoutError, ServerTooOld) as problem:
                log.warning("bus: cannot connect: %s", problem)
                await asyncio.sleep(RETRY_SECONDS)
        self.ready.set()

    @property
    def connected(self) -> bool:
        """Whether the connection works, as far as the client knows."""
        return self._client is not None and self._client.is_connected

    @property
    def client(self) -> Client:
        """The connected client; raises NotConnected instead of letting a publish wait in a buffer."""
        if self._client is None or not self._client.is_connected:
            raise NotConnected("no connection to NATS")
        return self._client

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream of the connected client; raises NotConnected."""
        return self.client.jetstream(timeout=JETSTREAM_SECONDS)

    async def close(self) -> None:
        """Say what is still to be said and close; bounded."""
        if self._client is None or self._client.is_closed:
            return
        try:
            async with asyncio.timeout(2):
                await self._client.flush(1)
        except (Error, OSError, TimeoutError) as problem:
            log.info("bus: closing without a last word: %s", type(problem).__name__)
        await self._client.close()
