"""Tell accounts which keys have been used, after the commit: each key once for each minute, best effort."""

import asyncio
import logging
import time
from collections.abc import Iterable

import msgspec
from nats.errors import Error

from common.contracts.events import KeyActivity
from common.contracts.subjects import KEY_ACTIVITY
from usage.outbound.bus import Bus

log = logging.getLogger(__name__)

MINUTE_MS = 60_000
INTERVAL_SECONDS = 1.0
MOST_AT_ONCE = 1_000
MOST_REMEMBERED = 50_000


class PublishKeyActivity:
    """Collects uses; `run` says them. What is forgotten to bound the memory is said once more, or with the key's next use."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: dict[str, int] = {}
        self._said: dict[str, int] = {}
        self._wake = asyncio.Event()

    def used(self, uses: Iterable[tuple[str, int]]) -> None:
        """Requests of these keys were admitted then: key ids and Unix milliseconds."""
        # A gateway's clock may run ahead: a minute of the future, once said, would keep the true ones from being said.
        now = time.time_ns() // 1_000_000
        for key_id, at in uses:
            minute = min(at, now) // MINUTE_MS * MINUTE_MS
            if minute <= max(self._said.get(key_id, -1), self._waiting.get(key_id, -1)):
                continue
            if key_id in self._waiting or len(self._waiting) < MOST_REMEMBERED:
                self._waiting[key_id] = minute
        if self._waiting:
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while self._waiting:
                    await self._say(list(self._waiting.items())[:MOST_AT_ONCE])
            except (Error, OSError) as problem:
                log.info("key activity: not said, again soon: %s", type(problem).__name__)
                self._wake.set()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _say(self, uses: list[tuple[str, int]]) -> None:
        await self._bus.client.publish(KEY_ACTIVITY, msgspec.json.encode(KeyActivity(keys=tuple(uses))))
        if len(self._said) + len(uses) > MOST_REMEMBERED:
            self._said.clear()
        for key_id, minute in uses:
            self._said[key_id] = minute
            if self._waiting.get(key_id) == minute:
                del self._waiting[key_id]
