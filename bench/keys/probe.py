"""A kept connection that asks one question as fast as it is answered: does this key open the door?"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

PATIENCE_SECONDS = 30.0
_CLOSED = (asyncio.IncompleteReadError, ConnectionError)


def question(key: str) -> bytes:
    """The bytes of a request that needs nothing but a valid key."""
    return f"GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n\r\n".encode()


@dataclass
class Probe:
    """One connection to one gateway, opened again where the gateway has closed it for want of questions."""

    port: int
    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = None

    async def ask(self, key: str) -> int:
        """The status of the answer."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            if self._writer is not None:
                with contextlib.suppress(*_CLOSED):
                    return await self._ask(key)
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
            return await self._ask(key)

    async def _ask(self, key: str) -> int:
        assert self._reader is not None
        assert self._writer is not None
        self._writer.write(question(key))
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        await self._reader.readexactly(int(length))
        return int(head[9:12])

    async def until(self, key: str, status: int, pause: float) -> float:
        """The monotonic time of the first answer with this status; so long a pause between two questions."""
        while True:
            if await self.ask(key) == status:
                return time.monotonic()
            await asyncio.sleep(pause)

    def close(self) -> None:
        """Done."""
        if self._writer is not None:
            self._writer.close()


@contextlib.asynccontextmanager
async def probes(ports: Sequence[int]) -> AsyncIterator[list[Probe]]:
    """One for each port."""
    doors = [Probe(port) for port in ports]
    try:
        yield doors
    finally:
        for door in doors:
            door.close()


async def ask_all(doors: Sequence[Probe], key: str) -> list[int]:
    """What each of them is answered."""
    return list(await asyncio.gather(*(door.ask(key) for door in doors)))
