"""One HTTP/1.1 connection: writes a request, parses its answer, keeps its own deadlines."""

import asyncio
import select
import socket
from collections.abc import Callable
from typing import Final, cast

import httptools

from common.write_together import together
from gateway.outbound.upstream.client import Timeouts
from gateway.outbound.upstream.errors import FailureKind, UpstreamError
from gateway.outbound.upstream.exchange import Exchange

MAX_HEAD: Final = 64 * 1024
READ_AHEAD: Final = 256 * 1024
_ONE_WRITE: Final = 64 * 1024
_SLICE: Final = 256 * 1024
_NOTHING: Final = memoryview(b"")
# Under load a connection rests for microseconds; only one that rested longer is worth a look before it is used.
_TRUSTED_REST: Final = 0.01


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. Tells the pool when it ended one, and once when it is lost."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        ended: Callable[["Connection"], None],
        lost: Callable[["Connection"], None],
    ) -> None:
        self._loop = loop
        self._ended = ended
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._readable = select.poll()
        self._writes = together(loop)
        self._exchange: Exchange | None = None
        self._unsent = _NOTHING
        self._writing_paused = False
        self._reading_paused = False
        self._since = 0.0
        self._total_at = 0.0
        self._timeouts = Timeouts()
        self._overhead = 0
        self._progress = False
        self._interim = False
        self._keep_alive = False
        self._until_close = True

    # What the pool calls.

    @property
    def closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    @property
    def usable(self) -> bool:
        """False for a connection the other side has closed or spoken on, even if the loop has not heard of it yet."""
        if self.closed:
            return False
        return self._loop.time() - self._since < _TRUSTED_REST or not self._readable.poll(0)

    def rested_since(self, moment: float) -> bool:
        return self._exchange is None and self._since <= moment

    def start(self, exchange: Exchange, head: bytes, body: bytes, timeouts: Timeouts, total_at: float) -> None:
        """Begin an exchange. A body too long for one write follows as the socket takes it."""
        self._exchange = exchange
        exchange.attach(self)
        self._timeouts = timeouts
        self._total_at = total_at
        self._since = self._loop.time()
        self._overhead = 0
        self._until_close = True
        transport = cast("asyncio.Transport", self._transport)
        if len(body) <= _ONE_WRITE:
            self._writes.write(transport, head + body)
        else:
            transport.write(head)
            self._unsent = memoryview(body)
            self._send_more()

    def check_deadlines(self, now: float) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        if now >= self._total_at:
            self.fail(FailureKind.TOTAL_TIMEOUT, "the exchange took too long")
        elif not exchange.status:
            if now - self._since >= self._timeouts.first_byte:
                self.fail(FailureKind.FIRST_BYTE_TIMEOUT, "no answer in time")
        elif not self._reading_paused and now - self._since >= self._timeouts.idle:
            self.fail(FailureKind.IDLE_TIMEOUT, "the answer stopped")

    def resume(self) -> None:
        """The consumer has taken what was there."""
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._since = self._loop.time()
            self._transport.resume_reading()

    def fail(self, kind: FailureKind, detail: str) -> None:
        """End the running exchange, if any, with an error, and the connection with it."""
        exchange, self._exchange = self._exchange, None
        self.drop()
        if exchange is not None:
            self._ended(self)
            exchange.end(UpstreamError(kind, detail, sent=not self._unsent))

    def drop(self) -> None:
        """Close at once: no TLS farewell, nothing flushed."""
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._readable.register(sock.fileno(), select.POLLIN)
        self._since = self._loop.time()

    def data_received(self, data: bytes) -> None:
        exchange, parser = self._exchange, self._parser
        if exchange is None or parser is None:  # bytes nobody asked for: this connection cannot be trusted
            self.drop()
            return
        self._progress = False
        self._overhead += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # After a complete answer it is the rubbish behind it that cannot be parsed.
            if not exchange.complete:
                self.fail(FailureKind.PROTOCOL, "the answer is not proper HTTP")
                return
            self._keep_alive = False
        self._after_data(exchange)

    def eof_received(self) -> None:
        """The proper end of a body without length.

        Under TLS uvloop calls this for a proper farewell only; plain asyncio also for a cut, and cannot be told apart.
        """
        exchange = self._exchange
        if exchange is not None and exchange.status and self._until_close:
            exchange.complete = self._progress = True
            self._after_data(exchange)
            return
        self.fail(FailureKind.CUT, "the upstream closed the connection")

    def connection_lost(self, error: Exception | None) -> None:
        self.fail(FailureKind.CUT, "the connection was lost" if error is None else f"the connection broke: {error!r}")
        self._transport = None
        self._parser = None  # it holds our methods: without this the pair would wait for the garbage collector
        self._lost(self)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._send_more()

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._exchange is None or self._exchange.complete:
            raise ValueError("more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        exchange = cast("Exchange", self._exchange)
        if exchange.status:  # a trailer
            return
        if len(name) == 17 and name.lower() == b"transfer-encoding":
            if value.strip().lower() != b"chunked":
                raise ValueError("a transfer coding that was not asked for")
            self._until_close = False
        elif len(name) == 14 and name.lower() == b"content-length":
            self._until_close = False
        exchange.headers.append((name, value))

    def on_headers_complete(self) -> None:
        exchange, parser = cast("Exchange", self._exchange), cast("httptools.HttpResponseParser", self._parser)
        status = parser.get_status_code()
        if status < 200:
            if status == 101:
                raise ValueError("a protocol switch that was not asked for")
            self._interim = True
            exchange.headers.clear()
            return
        if self._overhead > MAX_HEAD and sum(len(name) + len(value) for name, value in exchange.headers) > MAX_HEAD:
            raise ValueError("the head of the answer is too large")
        exchange.status = status
        self._keep_alive = parser.should_keep_alive()
        self._progress = True
        if self._unsent and status >= 300:
            self._unsent = _NOTHING  # refused before all was said: the rest would only provoke a reset
            self._keep_alive = False

    def on_body(self, data: bytes) -> None:
        exchange = cast("Exchange", self._exchange)
        exchange.parts.append(data)
        exchange.buffered += len(data)
        self._progress = True

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            return
        cast("Exchange", self._exchange).complete = True
        self._progress = True

    # Between them.

    def _after_data(self, exchange: Exchange) -> None:
        limit = exchange.whole_limit
        if limit is not None and exchange.buffered > limit:
            exchange.complete = False
            self.fail(FailureKind.TOO_LARGE, f"the body is longer than {limit} bytes")
        elif not self._progress:
            if self._overhead > MAX_HEAD:
                self.fail(FailureKind.PROTOCOL, "the head of the answer is too large")
        elif exchange.complete:
            self._finish(exchange)
        else:
            self._since = self._loop.time()
            self._overhead = 0
            if limit is None:
                self._hold_back(exchange)
                exchange.wake()

    def _hold_back(self, exchange: Exchange) -> None:
        if exchange.buffered > READ_AHEAD and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def _finish(self, exchange: Exchange) -> None:
        reusable = self._keep_alive and not self._unsent
        self._exchange = None
        self._unsent = _NOTHING
        if reusable:
            self.resume()
        else:
            self.drop()
        self._since = self._loop.time()
        self._ended(self)
        exchange.end(None)

    def _send_more(self) -> None:
        transport = self._transport
        while self._unsent and not self._writing_paused and transport is not None and not transport.is_closing():
            piece, self._unsent = self._unsent[:_SLICE], self._unsent[_SLICE:]
            transport.write(piece)
