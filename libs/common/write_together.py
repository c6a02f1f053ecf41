"""Writes of one turn of the event loop, made one after the other at its end.

A process that waits for our bytes is woken once for all of them, not once for each: under load, on a machine whose other core runs
the peer, the wake-ups cost more than the writes. Alone in its turn a write is made as soon as what is ready now has run.
"""

import asyncio
from weakref import WeakKeyDictionary


class WriteTogether:
    """One per event loop; see `together`. Order per transport is kept as long as everything for it goes through here or comes later."""

    __slots__ = ("_call_soon", "_pending")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._pending: list[tuple[asyncio.WriteTransport, bytes]] = []

    def write(self, transport: asyncio.WriteTransport, data: bytes) -> None:
        """Write soon; nothing is written to a transport that has been closed meanwhile."""
        if not self._pending:
            self._call_soon(self.flush)
        self._pending.append((transport, data))

    def flush(self) -> None:
        """Write now what waits."""
        pending, self._pending = self._pending, []
        for transport, data in pending:
            if not transport.is_closing():
                transport.write(data)


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, WriteTogether] = WeakKeyDictionary()


def together(loop: asyncio.AbstractEventLoop) -> WriteTogether:
    """The loop's own."""
    found = _by_loop.get(loop)
    if found is None:
        found = _by_loop[loop] = WriteTogether(loop)
    return found
