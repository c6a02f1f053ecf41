"""The same promises kept with aiohttp: several times the CPU per request, none of our parsing."""

import asyncio
import io
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Final, cast

import aiohttp
from yarl import URL

from gateway.outbound.upstream.client import MAX_BODY, Answer, PoolLimits, PoolStats, Timeouts, find_header
from gateway.outbound.upstream.errors import FailureKind, UpstreamError
from gateway.outbound.upstream.slots import Slots
from gateway.outbound.upstream.target import Origin, RawHeaders, Target, compile_headers

_MAX_FIELD: Final = 64 * 1024
_READ_AHEAD: Final = 128 * 1024  # aiohttp holds back at twice this
_ONE_WRITE: Final = 64 * 1024


@dataclass(slots=True)
class _Attempt:
    """What the tracing hooks learn about one request: once connected, the clock for the first byte starts."""

    timeouts: Timeouts
    total_at: float
    guard: asyncio.Timeout
    connected: bool = False

    def begin(self, now: float) -> None:
        self.connected = True
        self.guard.reschedule(min(self.total_at, now + self.timeouts.first_byte))


class AiohttpClient:
    """An UpstreamClient for upstreams that can be trusted to speak only when asked.

    aiohttp keeps a connection on which the upstream said too much, and takes that for the answer to the next request.
    `sent` is False only for failures to connect: aiohttp does not tell how much of a body went out. The statistics
    count exchanges as open connections: it does not tell of its idle ones either.
    """

    def __init__(self, limits: PoolLimits | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits or PoolLimits()
        self._slots: dict[Origin, Slots] = {}
        self._created = 0
        self._reused = 0
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._connection_created)
        trace.on_connection_reuseconn.append(self._connection_reused)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=self._limits.idle_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("user-agent", "content-type", "accept"),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=_READ_AHEAD,
            max_line_size=_MAX_FIELD,
            max_field_size=_MAX_FIELD,
            trace_configs=[trace],
        )

    async def send(
        self, target: Target, headers: RawHeaders, body: bytes, timeouts: Timeouts, *, max_body: int = MAX_BODY
    ) -> Answer:
        answer = await self.stream(target, headers, body, timeouts)
        return Answer(answer.status, answer.headers, await answer.read(max_body))

    async def stream(self, target: Target, headers: RawHeaders, body: bytes, timeouts: Timeouts) -> "AiohttpAnswer":
        compile_headers(headers)
        total_at = self._loop.time() + timeouts.total
        slots = self._slots.get(target.origin)
        if slots is None:
            slots = self._slots[target.origin] = Slots(self._limits.connections, self._limits.waiting)
        await slots.take(min(timeouts.connect, timeouts.total))
        try:
            response = await self._request(target, headers, body, timeouts, total_at)
        except BaseException:
            slots.give_back()
            raise
        return AiohttpAnswer(response, timeouts.idle, total_at, slots.give_back)

    def stats(self) -> PoolStats:
        busy = sum(slots.busy for slots in self._slots.values())
        waiting = sum(slots.waiting for slots in self._slots.values())
        return PoolStats(busy, 0, busy, waiting, self._created, self._reused)

    async def aclose(self) -> None:
        for slots in self._slots.values():
            slots.refuse_waiting()
        await self._session.close()

    async def _request(
        self, target: Target, headers: RawHeaders, body: bytes, timeouts: Timeouts, total_at: float
    ) -> aiohttp.ClientResponse:
        guard = asyncio.timeout_at(total_at)
        attempt = _Attempt(timeouts, total_at, guard)
        try:
            async with guard:
                response = await self._session.request(
                    target.method,
                    URL(target.url, encoded=True),
                    headers=[
                        ("accept-encoding", "identity"),
                        *((name.decode(), value.decode("latin-1")) for name, value in (*target.headers, *headers)),
                    ],
                    data=body if len(body) < _ONE_WRITE else io.BytesIO(body),
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect),
                    ssl=target.origin[2] or True,
                    trace_request_ctx=attempt,
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _translated(error, attempt) from error
        if response.status < 200:
            response.close()
            raise UpstreamError(FailureKind.PROTOCOL, "a protocol switch that was not asked for", sent=True)
        return response

    async def _connection_created(
        self, _session: aiohttp.ClientSession, context: SimpleNamespace, _: aiohttp.TraceConnectionCreateEndParams
    ) -> None:
        self._created += 1
        cast("_Attempt", context.trace_request_ctx).begin(self._loop.time())

    async def _connection_reused(
        self, _session: aiohttp.ClientSession, context: SimpleNamespace, _: aiohttp.TraceConnectionReuseconnParams
    ) -> None:
        self._reused += 1
        cast("_Attempt", context.trace_request_ctx).begin(self._loop.time())


class AiohttpAnswer:
    """A StreamedAnswer; gives its slot back when the body is read to its end or closed."""

    def __init__(self, response: aiohttp.ClientResponse, idle: float, total_at: float, give_back: Callable[[], None]) -> None:
        self._response = response
        self._idle = idle
        self._total_at = total_at
        self._give_back: Callable[[], None] | None = give_back
        self._failure: UpstreamError | None = None
        self.status = response.status
        self.headers: RawHeaders = response.raw_headers

    def header(self, name: bytes) -> bytes | None:
        return find_header(self.headers, name)

    async def next_chunk(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        try:
            chunk = await self._read()
        except asyncio.CancelledError:
            self.close()
            raise
        except UpstreamError as failure:
            self.close()
            self._failure = failure
            raise
        if not chunk:
            self._end()
        return chunk

    async def read(self, limit: int = MAX_BODY) -> bytes:
        pieces = []
        size = 0
        while piece := await self.next_chunk():
            size += len(piece)
            if size > limit:
                self.close()
                raise UpstreamError(FailureKind.TOO_LARGE, f"the body is longer than {limit} bytes", sent=True)
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        if self._give_back is not None:
            self._failure = UpstreamError(FailureKind.CUT, "given up by the caller", sent=True)
            self._response.close()
            self._end()

    async def _read(self) -> bytes:
        idle_at = asyncio.get_running_loop().time() + self._idle
        try:
            async with asyncio.timeout_at(min(self._total_at, idle_at)):
                return await self._response.content.readany()
        except TimeoutError:
            # By which of the two it was set: an event loop may wake a moment before the time that it was told.
            kind = FailureKind.TOTAL_TIMEOUT if self._total_at <= idle_at else FailureKind.IDLE_TIMEOUT
            raise UpstreamError(kind, "the answer did not go on in time", sent=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(FailureKind.CUT, type(error).__name__, sent=True) from error

    def _end(self) -> None:
        if self._give_back is not None:
            give_back, self._give_back = self._give_back, None
            give_back()


def _translated(error: Exception, attempt: _Attempt) -> UpstreamError:
    """aiohttp's view of a request without an answer, in ours."""
    detail = type(error).__name__
    match error:
        case aiohttp.ClientSSLError() | ssl.SSLError():
            kind = FailureKind.TLS_FAILED
        case aiohttp.ClientConnectorError():
            kind = FailureKind.CONNECT_FAILED
        case TimeoutError() if attempt.guard.expired() and attempt.guard.when() == attempt.total_at:
            kind = FailureKind.TOTAL_TIMEOUT
        case TimeoutError():
            kind = FailureKind.FIRST_BYTE_TIMEOUT if attempt.connected else FailureKind.CONNECT_TIMEOUT
        case aiohttp.ClientResponseError():
            kind = FailureKind.PROTOCOL
        case _:
            kind = FailureKind.CUT
    return UpstreamError(kind, detail, sent=attempt.connected)
