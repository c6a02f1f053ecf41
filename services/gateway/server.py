"""uvicorn, with our way of stopping: refuse what is new, finish what runs, cut what does not finish, exit 0."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Sized
from functools import partial
from typing import Any, cast
from weakref import ref

import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from common.contracts.identifiers import uuid7
from common.write_together import WriteTogether, together
from gateway.domain.refusals import BadRequest, Refusal, ShuttingDown
from gateway.inbound.errors import error_body, error_headers
from gateway.inbound.hot_path import FLOW, RESPOND, HotPath

POLL_SECONDS = 0.05
CUT_SECONDS = 3
KEEP_ALIVE_SECONDS = 75
SWEEP_TICKS = 20
MAX_HEAD = 64 * 1024
HEAD_SECONDS = 30
"""For a request's head to arrive, and for the rest of a request that has been answered already."""


class TogetherTransport:
    """A client's transport whose writes leave with all others of the same turn of the loop; closing it writes what waits first."""

    __slots__ = ("_transport", "_writes", "is_closing")

    def __init__(self, transport: asyncio.Transport, writes: WriteTogether) -> None:
        self._transport = transport
        self._writes = writes
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write soon."""
        self._writes.write(self._transport, data)

    def close(self) -> None:
        """Close when everything is written."""
        self._writes.flush()
        self._transport.close()


class HeadTooLarge(Refusal):
    """The request line and headers are longer than any client of ours needs."""

    status, code, type = 431, "request_header_fields_too_large", "invalid_request_error"


class Flow(FlowControl):
    """Reads on only when there is nothing to be answered or sent first: a client that pipelines cannot fill the memory.

    `leeway`: bytes that may wait to be taken before whoever sends has to wait; 0: the transport's own mark. With a leeway the sender
    adds what it sends to `sent`, so that a client that takes less than it is given is not thought to take nothing.
    """

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline
        self.held = False
        self.leeway = 0
        self.sent = 0

    @property
    def is_full(self) -> bool:
        """Whether who sends has to wait."""
        return self.write_paused and self._transport.get_write_buffer_size() >= self.leeway

    async def drain(self) -> None:
        """Wait until there is room."""
        if self.is_full:
            await super().drain()

    def resume_reading(self) -> None:
        """Unless answers wait to be sent or requests to be answered."""
        if self.read_paused and not self.held and not self._pipeline:
            super().resume_reading()


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with a short way for whole answers, without a timer per request, and bounded in what it keeps.

    `scope["codexflow.respond"](status, header_lines, body)` writes an answer in one piece: head and body are one system call. Whoever
    calls it vouches for the header lines (each ends in CRLF, `content-length` is among them) and sends nothing else.

    `idle_since`: nothing of a request has come; `head_since`: a part of its head; `unread_since`: all has been answered though
    not all of the request has come; `unsent_since`: a sweep saw answers that did not move since the sweep before.
    """

    flow: Flow
    idle_since: float | None = None
    head_since: float | None = None
    unread_since: float | None = None
    unsent_since: float | None = None
    taken_bytes = 0
    head_bytes = 0
    read_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """A connection is idle until its first byte."""
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", TogetherTransport(transport, together(self.loop)))
        self.flow = Flow(transport, self.pipeline)
        self.idle_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Bytes of requests. A head that spans reads is bounded here, a complete one where it ends."""
        self.read_bytes = len(data)
        began = self.head_since
        super().data_received(data)
        if self.head_since is not None and self.head_since == began:
            self.head_bytes += len(data)
            if self.head_bytes > MAX_HEAD and not self.transport.is_closing():
                self._refuse(HeadTooLarge(f"The request's head is larger than {MAX_HEAD} bytes."))

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self.idle_since = self.unread_since = None
        self.head_since = self.loop.time()
        self.head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn does it, but for trailers: they are nothing to us."""
        if self.head_since is None:
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """A request has begun; its task is about to start."""
        if self.head_bytes + self.read_bytes > MAX_HEAD and self._size_of_head() > MAX_HEAD:
            raise HeadTooLarge(f"The request's head is larger than {MAX_HEAD} bytes.")  # ends the parser: see send_400_response
        self.head_since = None
        super().on_headers_complete()
        self.scope[RESPOND] = partial(self._respond, ref(self.cycle))  # type: ignore[literal-required] # ours
        self.scope[FLOW] = self.flow  # type: ignore[literal-required] # ours

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def send_400_response(self, msg: str) -> None:
        """What the parser could not take, in our shape."""
        problem = sys.exception()
        cause = problem.__context__ if problem is not None else None
        self._refuse(cause if isinstance(cause, HeadTooLarge) else BadRequest(msg))

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what is not a request and close. In the middle of another answer there is nothing to say."""
        if self.no_answer_is_due:
            body = error_body(refusal)
            lines = [b"%b: %b\r\n" % header for header in error_headers(refusal, body, uuid7())]
            self.transport.write(b"".join((STATUS_LINE[refusal.status], *lines, b"connection: close\r\n\r\n", body)))
        self.transport.close()

    @property
    def no_answer_is_due(self) -> bool:
        """Whether all that was asked has been answered."""
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn does not say that there may be none
        return cycle is None or cycle.response_complete

    def _respond(self, of: "ref[RequestResponseCycle]", status: int, header_lines: bytes, body: bytes) -> None:
        cycle = of()  # held weakly: it holds the scope that this is in, and a circle would have to wait for the garbage collector
        if cycle is None or cycle.disconnected or cycle.response_started:
            return
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        closing = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"".join((STATUS_LINE[status], header_lines, closing, body)))
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, but not while this answer waits to be taken."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.write_paused:
            self.flow.held = True
            self.flow.pause_reading()
        else:
            self._go_on()

    def resume_writing(self) -> None:
        """The client has taken most of what was written."""
        super().resume_writing()
        if self.flow.held:
            self.flow.held = False
            if not self.transport.is_closing():
                self._go_on()

    def _go_on(self) -> None:
        """Start a pipelined request, or begin to be idle: the server's sweep closes connections that are idle for long."""
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self.cycle.more_body:
            self.unread_since = self.loop.time()
        elif self.head_since is None:
            self.idle_since = self.loop.time()
        self.flow.resume_reading()

    def sweep(self, now: float, slow_reader_seconds: float) -> None:
        """Close what is idle or dawdles; abort what does not take its answers, closing or not."""
        if (
            now - (self.idle_since or now) > KEEP_ALIVE_SECONDS
            or now - (self.head_since or now) > HEAD_SECONDS
            or now - (self.unread_since or now) > HEAD_SECONDS
        ):
            self.transport.close()
        unsent = self.transport.get_write_buffer_size()
        taken = self.flow.sent - unsent
        if unsent == 0 or taken > self.taken_bytes:
            self.unsent_since = None
        elif self.unsent_since is None:
            self.unsent_since = now
        elif now - self.unsent_since > slow_reader_seconds:
            self.transport.abort()
        self.taken_bytes = taken


class Server(uvicorn.Server):
    """Drains on SIGTERM and SIGINT for at most `drain_seconds`."""

    def __init__(
        self,
        config: uvicorn.Config,
        hot: HotPath,
        cut: Callable[[Callable[[], Refusal]], None],
        *,
        drain_seconds: float,
        slow_reader_seconds: float,
    ) -> None:
        super().__init__(config)
        self._hot = hot
        self._cut = cut
        self._drain_seconds = drain_seconds
        self._slow_reader_seconds = slow_reader_seconds

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second; every two seconds connections are looked over."""
        if counter % SWEEP_TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Protocol):
                    connection.sweep(now, self._slow_reader_seconds)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Unready, drain, cut with an error event, close."""
        self._hot.draining = True
        await self._until_quiet(self._drain_seconds)
        self._cut(lambda: ShuttingDown("This gateway is being stopped; the answer is incomplete.", retry_after=1))
        await self._until_quiet(1.0)
        await super().shutdown(sockets)

    async def _until_quiet(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self._hot.in_flight and loop.time() < deadline and not self.force_exit:  # noqa: ASYNC110 - counts do not signal
            await asyncio.sleep(POLL_SECONDS)


def config_for(app: Callable[..., object], host: str, port: int) -> uvicorn.Config:
    """The server's settings; forwarded headers are not trusted, the access log is off (there is telemetry)."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=CUT_SECONDS,
        backlog=4096,
    )


def exit_cleanly_on_signals() -> Callable[[], bool]:
    """Take the signals before and after uvicorn does; the answer says whether one has come.

    uvicorn raises the signal again after its shutdown: with a handler of our own that does not kill the process.
    """
    came: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: came.append(received))
    return lambda: bool(came)
