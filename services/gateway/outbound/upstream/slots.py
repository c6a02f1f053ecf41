"""Permission to have an exchange in flight: a bounded number, and a bounded queue for the rest."""

import asyncio
from collections import deque

from gateway.outbound.upstream.errors import FailureKind, UpstreamError


class Slots:
    """First come, first served. Every slot taken is given back exactly once."""

    def __init__(self, size: int, max_waiting: int) -> None:
        self._free = size
        self._size = size
        self._max_waiting = max_waiting
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def busy(self) -> int:
        return self._size - self._free

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    def try_take(self) -> bool:
        if self._free > 0:
            self._free -= 1
            return True
        return False

    async def take(self, seconds: float) -> None:
        """Waits for a slot; raises UpstreamError (pool_full) when the queue is full or the time is over."""
        if self.try_take():
            return
        if len(self._waiters) >= self._max_waiting:
            raise UpstreamError(FailureKind.POOL_FULL, "too many requests wait for a connection", sent=False)
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.append(waiter)
        timer = loop.call_later(seconds, self._refuse, waiter, "no connection became free in time")
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give_back()
            raise
        finally:
            timer.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def give_back(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)  # the slot changes hands without becoming free
                return
        self._free += 1

    def refuse_waiting(self) -> None:
        for waiter in self._waiters:
            self._refuse(waiter, "the client is closing")

    @staticmethod
    def _refuse(waiter: asyncio.Future[None], detail: str) -> None:
        if not waiter.done():
            waiter.set_exception(UpstreamError(FailureKind.POOL_FULL, detail, sent=False))
