"""Server-sent events, and the ways in which they are made to break."""

import asyncio
from typing import Any, Final

import msgspec

from devstack.provider.calls import Call
from devstack.provider.exchange import ClientLeft

BROKEN_EVENT: Final = 3  # which event `malformed` breaks, counted from 1


class EventStream:
    """Every method raises ClientLeft when the client is gone and ConnectionCut when the fault says so."""

    __slots__ = ("_call", "_events")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._events = 0

    async def open(self) -> None:
        await self._call.exchange.start(200, b"text/event-stream; charset=utf-8", ((b"cache-control", b"no-cache"),))

    async def send(self, event: dict[str, Any], tokens: int = 0) -> None:
        """Write one event and book the tokens in it as sent."""
        await self._cut_when_due()
        data = msgspec.json.encode(event)
        self._events += 1
        if self._call.fault.name == "malformed" and self._events == BROKEN_EVENT:
            data = data[: len(data) // 2]
        await self._write(data)
        self._call.row.sent += tokens

    async def close(self) -> None:
        """End the stream as it should end, or as the fault wants."""
        exchange = self._call.exchange
        if self._call.fault.name == "cut":
            await exchange.cut()
        if self._call.fault.name != "no-done":
            await self._write(b"[DONE]")
        await exchange.write(b"", more=False)

    async def _cut_when_due(self) -> None:
        if self._call.fault.name == "cut" and self._events >= self._call.fault.number:
            await self._call.exchange.cut()

    async def _write(self, data: bytes) -> None:
        exchange = self._call.exchange
        if self._call.fault.name == "split":
            for byte in b"data: %b\r\n\r\n" % data:
                await exchange.write(bytes((byte,)))
                await asyncio.sleep(0)  # each byte leaves in a write of its own
        else:
            await exchange.write(b"data: %b\n\n" % data)
        if exchange.gone:
            raise ClientLeft
