"""One request and the connection it came by, with what the protocol server does not offer: leaving noticed, and cutting."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from devstack.provider.refusals import Header, Refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LARGEST_BODY: Final = 64 * 1024 * 1024
JSON_TYPE: Final = b"application/json"

_SHORT_PAUSE_SECONDS: Final = 0.02
_FLUSH_SECONDS: Final = 2.0


class ClientLeft(Exception):
    """The client closed the connection before its answer was complete."""


class ConnectionCut(Exception):
    """We closed the connection on purpose."""


class ProviderProtocol(HttpToolsProtocol):
    """uvicorn's protocol, showing its transport to the application."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport

    def on_message_complete(self) -> None:
        large = len(self.cycle.body) > HIGH_WATER_LIMIT
        super().on_message_complete()
        if large:
            # Reading stays paused after a large body otherwise, and a client that leaves would never be noticed.
            self.flow.resume_reading()


class Exchange:
    """Needs `ProviderProtocol` below it."""

    __slots__ = ("_headers", "_receive", "_send", "_transport", "method", "path", "query")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self._transport: asyncio.Transport = scope["state"]["transport"]
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]

    @property
    def gone(self) -> bool:
        return self._transport.is_closing()

    def header(self, name: bytes) -> str | None:
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def read(self) -> bytes:
        body = b""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunk: bytes = message["body"]
            body = body + chunk if body else chunk
            if len(body) > LARGEST_BODY:
                raise Refusal(413, "The request body is too large.", headers=((b"connection", b"close"),))
            if not message["more_body"]:
                return body

    async def start(self, status: int, content_type: bytes, headers: tuple[Header, ...] = ()) -> None:
        """Send the head of an answer; its body is chunked unless a header says its length."""
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", content_type), *headers],
            }
        )

    async def write(self, data: bytes, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def reply(self, status: int, body: bytes, content_type: bytes = JSON_TYPE, headers: tuple[Header, ...] = ()) -> None:
        """The whole answer. Raises ClientLeft when nobody was there to take it."""
        if self.gone:
            raise ClientLeft
        await self.start(status, content_type, (*headers, (b"content-length", str(len(body)).encode())))
        await self.write(body, more=False)

    async def pause(self, seconds: float) -> None:
        """Let time pass. Raises ClientLeft as soon as the client is gone (for short pauses: at their end)."""
        if seconds > _SHORT_PAUSE_SECONDS:
            await self._wait_for_leaving(seconds)
        else:
            await asyncio.sleep(seconds)
        if self.gone:
            raise ClientLeft

    async def cut(self) -> None:
        """Close the connection in the middle of an answer, after what was written has gone out. Raises ConnectionCut."""
        deadline = time.monotonic() + _FLUSH_SECONDS
        # The transport has no event for an empty buffer, only for one below its low-water mark.
        while self._transport.get_write_buffer_size() and not self.gone and time.monotonic() < deadline:  # noqa: ASYNC110 -- see above
            await asyncio.sleep(0.001)
        self._transport.abort()
        raise ConnectionCut

    async def settle(self) -> None:
        """Wait until the server below knows that the closing connection is closed."""
        await self._wait_for_leaving(_FLUSH_SECONDS)

    async def _wait_for_leaving(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while (await self._receive())["type"] != "http.disconnect":
                    continue
        except TimeoutError:
            return
