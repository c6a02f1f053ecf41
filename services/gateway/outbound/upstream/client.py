"""The contract of an upstream client: two ways to ask, bounded in time and size, whatever carries the bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.outbound.upstream.target import RawHeaders, Target

MAX_BODY = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. All are checked by a coarse clock: they may end up to a tenth of a second late, never early."""

    connect: float = 5.0
    """For a free place in the pool, and again for the TCP and TLS handshakes."""
    first_byte: float = 60.0
    """From the start of the request on an open connection to the complete head of the answer."""
    idle: float = 60.0
    """Silence of the upstream within the body; time in which the consumer holds the stream back does not count."""
    total: float = 600.0
    """From the call to the last byte of the answer."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Per origin (host, port, trust)."""

    connections: int = 512
    idle_connections: int = 512
    idle_seconds: float = 30.0
    waiting: int = 1024


@dataclass(frozen=True, slots=True)
class PoolStats:
    """Connections now (open = idle + busy), requests waiting for one, and what was created and reused so far."""

    open: int
    idle: int
    busy: int
    waiting: int
    created: int
    reused: int


def find_header(headers: RawHeaders, name: bytes) -> bytes | None:
    """The first value of a header, asked for in lower case."""
    for key, value in headers:
        if len(key) == len(name) and key.lower() == name:
            return value.strip()
    return None


@dataclass(slots=True)
class Answer:
    """A whole answer; any status is an answer, redirects and errors too."""

    status: int
    headers: RawHeaders
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        return find_header(self.headers, name)


class StreamedAnswer(Protocol):
    """An answer whose head has arrived. One reader; whoever got it closes it or reads it to the end."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> RawHeaders: ...

    def header(self, name: bytes) -> bytes | None: ...

    async def next_chunk(self) -> bytes:
        """What has arrived, joined; b"" at the proper end of the body.

        Raises UpstreamError if the body ends otherwise. A cancelled call closes the connection.
        """

    async def read(self, limit: int = MAX_BODY) -> bytes:
        """The rest of the body; raises UpstreamError (too_large) and closes if it is longer than `limit`."""

    def close(self) -> None:
        """Give the answer up: the connection is closed at once unless the body was complete. May be repeated."""


class UpstreamClient(Protocol):
    """Sends a request once. Never retries, follows redirects, decompresses or heeds proxy variables.

    Raises UpstreamError, and ValueError for a header that could not be sent as it is. A cancelled call closes its
    connection at once. Built inside a running event loop and used in that loop only.
    """

    async def send(
        self,
        target: Target,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        timeouts: Timeouts,
        *,
        max_body: int = MAX_BODY,
    ) -> Answer:
        """The whole answer; raises UpstreamError (too_large) if its body is longer than `max_body`."""

    async def stream(
        self, target: Target, headers: Sequence[tuple[bytes, bytes]], body: bytes, timeouts: Timeouts
    ) -> StreamedAnswer:
        """Returns when the head of the answer has arrived; at most some 512 KiB of the body are held unread."""

    def stats(self) -> PoolStats: ...

    async def aclose(self) -> None:
        """Closes every connection; running exchanges fail as cut."""
