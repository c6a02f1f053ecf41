"""The connections to one origin: which rest, which may be opened, who waits."""

import asyncio
import ssl
from typing import Final

from gateway.outbound.upstream.client import PoolLimits, PoolStats, Timeouts
from gateway.outbound.upstream.connection import Connection
from gateway.outbound.upstream.errors import FailureKind, UpstreamError
from gateway.outbound.upstream.slots import Slots
from gateway.outbound.upstream.target import Origin

_CLOSING_SECONDS: Final = 2.0


class Pool:
    """Hands out connections that are open and silent, the most recently used first."""

    def __init__(self, loop: asyncio.AbstractEventLoop, origin: Origin, limits: PoolLimits) -> None:
        self._loop = loop
        self._host, self._port, self._tls = origin
        self._limits = limits
        self._slots = Slots(limits.connections, limits.waiting)
        self._open: set[Connection] = set()
        self._resting: list[Connection] = []
        self._created = 0
        self._reused = 0
        self._closing = False
        self._emptied: asyncio.Future[None] | None = None

    def take_resting(self) -> Connection | None:
        """A connection at once, or None if one has to be opened or waited for."""
        if not self._resting or not self._slots.try_take():
            return None
        connection = self._pop_usable()
        if connection is None:
            self._slots.give_back()
        return connection

    async def take(self, timeouts: Timeouts, total_at: float) -> Connection:
        """A connection, opened if need be; raises UpstreamError with `sent` False."""
        await self._slots.take(min(timeouts.connect, total_at - self._loop.time()))
        try:
            return self._pop_usable() or await self._connect(timeouts, total_at)
        except BaseException:
            self._slots.give_back()
            raise

    def sweep(self, now: float) -> None:
        """Ends what is over its deadline and closes what rested too long."""
        for connection in tuple(self._open):
            connection.check_deadlines(now)
        expiry = now - self._limits.idle_seconds
        # The list is in the order in which they came to rest.
        while self._resting and self._resting[0].rested_since(expiry):
            self._resting.pop(0).drop()

    def stats(self) -> PoolStats:
        total, idle = len(self._open), len(self._resting)
        return PoolStats(total, idle, total - idle, self._slots.waiting, self._created, self._reused)

    async def aclose(self) -> None:
        self._closing = True
        self._slots.refuse_waiting()
        for connection in tuple(self._open):
            connection.fail(FailureKind.CUT, "the client is closing")
        if self._open:
            self._emptied = self._loop.create_future()
            await asyncio.wait((self._emptied,), timeout=_CLOSING_SECONDS)

    def _pop_usable(self) -> Connection | None:
        while self._resting:
            connection = self._resting.pop()
            if connection.usable:
                self._reused += 1
                return connection
            connection.drop()
        return None

    async def _connect(self, timeouts: Timeouts, total_at: float) -> Connection:
        try:
            async with asyncio.timeout_at(min(self._loop.time() + timeouts.connect, total_at)):
                _, connection = await self._loop.create_connection(self._new_connection, self._host, self._port, ssl=self._tls)
        except TimeoutError:
            raise UpstreamError(FailureKind.CONNECT_TIMEOUT, "no connection in time", sent=False) from None
        except ssl.SSLError as error:
            raise UpstreamError(FailureKind.TLS_FAILED, error.reason or "no trust", sent=False) from error
        except OSError as error:
            detail = error.strerror or type(error).__name__
            raise UpstreamError(FailureKind.CONNECT_FAILED, detail, sent=False) from error
        if self._closing or connection.closed:
            connection.drop()
            raise UpstreamError(FailureKind.CONNECT_FAILED, "closed before it was used", sent=False)
        # Only now: uvloop never reports the loss of a connection whose opening was cancelled.
        self._open.add(connection)
        self._created += 1
        return connection

    def _new_connection(self) -> Connection:
        return Connection(self._loop, ended=self._exchange_ended, lost=self._connection_lost)

    def _exchange_ended(self, connection: Connection) -> None:
        if not connection.closed and not self._closing and len(self._resting) < self._limits.idle_connections:
            self._resting.append(connection)
        else:
            connection.drop()
        self._slots.give_back()

    def _connection_lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._resting:
            self._resting.remove(connection)
        if self._emptied is not None and not self._open and not self._emptied.done():
            self._emptied.set_result(None)
