"""For what can only be shown while the machine runs: a short deadline that must not pass, beside one that must."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self, TypeVar

Result = TypeVar("Result")

TICK_SECONDS = 0.01
MOST_ATTEMPTS = 50


async def undisturbed(attempt: Callable[[], Awaitable[Result]], *failures: type[Exception], stall_seconds: float = 0.1) -> Result:
    """What an attempt returned. One that failed while the event loop stood still for so long proves nothing: it is made again.

    `failures`: what a stall may make an attempt raise, besides a failed assertion.
    """
    for _ in range(MOST_ATTEMPTS):
        watch = Watch()
        try:
            return await attempt()
        except (AssertionError, TimeoutError, *failures):
            if await watch.longest_stall() < stall_seconds:
                raise
        finally:
            await watch.stop()
    raise AssertionError(f"the machine stalled in each of {MOST_ATTEMPTS} attempts, and each failed")


class Watch:
    """Notes for how long the event loop stood still, from now on."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._task = asyncio.create_task(self._look())

    async def longest_stall(self) -> float:
        """Seconds; a stall that has only just ended is counted."""
        await asyncio.sleep(2 * TICK_SECONDS)
        return self._longest

    async def stop(self) -> None:
        """Look no more."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _look(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)
            self._longest = max(self._longest, time.monotonic() - began - TICK_SECONDS)


class MachineClock:
    """Runs only while this process does: what takes long by it was held up by something else than the machine."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._tick)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _tick(self) -> None:
        while not self._stopping.wait(TICK_SECONDS):
            self.seconds += TICK_SECONDS
