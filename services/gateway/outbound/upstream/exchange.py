"""One request and its answer, as the caller sees them while the connection fills them in."""

import asyncio
from typing import TYPE_CHECKING

from gateway.outbound.upstream.client import MAX_BODY, find_header
from gateway.outbound.upstream.errors import FailureKind, UpstreamError

if TYPE_CHECKING:
    from gateway.outbound.upstream.connection import Connection


class Exchange:
    """The state of one answer, and the StreamedAnswer handed to callers.

    The connection writes `status`, `headers`, `parts`, `buffered`, `complete` and calls `wake`; the caller's side only
    waits and takes. An exchange outlives its connection: what has arrived can be read after the connection went on to
    the next request.
    """

    __slots__ = (
        "_connection",
        "_loop",
        "_waiter",
        "buffered",
        "complete",
        "failure",
        "headers",
        "parts",
        "status",
        "whole_limit",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, whole_limit: int | None) -> None:
        self._loop = loop
        self._connection: Connection | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.whole_limit = whole_limit
        """Most bytes of a body to be collected unread; None for a stream, which is held back instead."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.parts: list[bytes] = []
        self.buffered = 0
        self.complete = False
        self.failure: UpstreamError | None = None

    def attach(self, connection: "Connection") -> None:
        self._connection = connection

    def header(self, name: bytes) -> bytes | None:
        return find_header(self.headers, name)

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self, failure: UpstreamError | None) -> None:
        """The connection has nothing more to say: properly (None) or not."""
        self._connection = None
        self.failure = failure
        self.complete = failure is None
        self.wake()

    async def wait_for_head(self) -> None:
        while not self.status and self.failure is None:
            await self._wait()
        if self.failure is not None and not self.status:
            raise self.failure

    async def wait_for_end(self) -> bytes:
        while not self.complete:
            if self.failure is not None:
                raise self.failure
            await self._wait()
        return self._take()

    async def next_chunk(self) -> bytes:
        while not self.parts:
            if self.failure is not None:
                raise self.failure
            if self.complete:
                return b""
            await self._wait()
        chunk = self._take()
        if self._connection is not None:
            self._connection.resume()
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
        if self._connection is not None:
            self._connection.fail(FailureKind.CUT, "given up by the caller")
        if self.parts:
            self.parts.clear()
            self.failure = UpstreamError(FailureKind.CUT, "given up by the caller", sent=True)

    def _take(self) -> bytes:
        parts, self.parts, self.buffered = self.parts, [], 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _wait(self) -> None:
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._waiter = None
