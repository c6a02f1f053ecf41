"""A real server on a real socket whose connections are played by a script, for everything an upstream may do."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.outbound.upstream.client import Timeouts
from gateway.outbound.upstream.target import Target

PATIENT = Timeouts(connect=30, first_byte=60, idle=60, total=120)
"""Deadlines that no test is to reach, so long that a stalled machine does not reach them either."""

SEEN_SECONDS = 15.0
"""For what happens at once; shorter than the deadlines above, which would make it happen too."""

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass
class Request:
    """A request as it came over the wire, header names in lower case."""

    line: bytes
    headers: dict[bytes, bytes]
    body: bytes = b""


@dataclass
class Wire:
    """One connection, seen from the upstream."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    upstream: "Upstream"

    async def head(self) -> Request:
        head = await self.reader.readuntil(b"\r\n\r\n")
        line, *lines = head[:-4].split(b"\r\n")
        pairs = (each.split(b": ", 1) for each in lines)
        request = Request(line, {name.lower(): value for name, value in pairs})
        self.upstream.requests.append(request)
        return request

    async def request(self) -> Request:
        request = await self.head()
        request.body = await self.reader.readexactly(int(request.headers[b"content-length"]))
        return request

    async def say(self, *pieces: bytes, pause: float = 0.0) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(pause)

    async def until_closed(self) -> None:
        """Returns when the client has closed its side."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass
        self.upstream.closed_by_client.set()


Script = Callable[[Wire], Awaitable[None]]


@dataclass
class Upstream:
    """Counts what it sees; a script that returns closes its connection. `closed`: those that are closed on this side."""

    script: Script
    scheme: str = "http"
    host: str = "127.0.0.1"
    port: int = 0
    connections: int = 0
    open_now: int = 0
    open_at_most: int = 0
    requests: list[Request] = field(default_factory=list)
    closed: int = 0
    closed_by_client: asyncio.Event = field(default_factory=asyncio.Event)
    faults: list[BaseException] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self.server = await asyncio.start_server(self._accepted, self.host, 0, ssl=tls)
        self.port = self.server.sockets[0].getsockname()[1]
        self.scheme = "https" if tls else "http"

    def target(self, headers: dict[str, str] | None = None, *, host: str | None = None, **options: str) -> Target:
        host = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return Target(f"{self.scheme}://{host}:{self.port}/v1/chat/completions?a=b", headers or {}, **options)

    async def see_it_close(self) -> None:
        """Returns when a client has closed a connection; raises TimeoutError."""
        await asyncio.wait_for(self.closed_by_client.wait(), SEEN_SECONDS)

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.wait_for(self.server.wait_closed(), SEEN_SECONDS)
        assert self.faults == []

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._play(Wire(reader, writer, self.connections, self)))
        self.tasks.add(task)

    async def _play(self, wire: Wire) -> None:
        self.open_now += 1
        self.open_at_most = max(self.open_at_most, self.open_now)
        try:
            await self.script(wire)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.closed_by_client.set()  # before it was told everything, or while it was expected to ask
        except Exception as fault:  # noqa: BLE001 - shown by stop()
            self.faults.append(fault)
        finally:
            self.open_now -= 1
            wire.writer.close()
            wire.reader.feed_eof()
            await self._closed(wire.writer)
            self.closed += 1

    @staticmethod
    async def _closed(writer: asyncio.StreamWriter) -> None:
        try:
            await asyncio.wait_for(writer.wait_closed(), SEEN_SECONDS)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            writer.transport.abort()


def always(answer: bytes) -> Script:
    """Answers every request of a connection the same way."""

    async def script(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.say(answer)

    return script


def once(*pieces: bytes, pause: float = 0.0, hold: bool = False) -> Script:
    """Reads a request, says the pieces, then closes, or holds the connection until the client closes it."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.say(*pieces, pause=pause)
        if hold:
            await wire.until_closed()

    return script


async def eventually(condition: Callable[[], bool], seconds: float = SEEN_SECONDS) -> None:
    """Waits until the condition holds; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def let_the_loop_look() -> None:
    """Returns when the event loop has handled what had arrived before: between two timers it looks at its sockets."""
    for _ in range(3):
        await asyncio.sleep(0.01)
