"""The watchdog: repairs what it may, tells readiness what it sees, and ends a process that only looks alive."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from nats.errors import Error

from common.health import Heartbeat
from usage.outbound.bus import Bus
from usage.outbound.database import TRANSIENT, Database
from usage.outbound.requests_queue import inspect, server_greets
from usage.use_cases.counters import LAG_MESSAGES, WATCHDOG_REPAIRS

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 2.0
PATIENCE_SECONDS = 30.0
EXIT_CODE = 70


@dataclass(slots=True)
class Watchdog:
    """`listening`: whether the listeners' connection works; `fetches`: when the last fetch of requests completed.

    Broken = the server greets strangers while one of our connections, the consumer or the fetch loop does not work. A server
    that is away is no reason to end: the clients come back by themselves.
    """

    database: Database
    bus: Bus
    nats_url: str
    listening: Callable[[], bool]
    fetches: Heartbeat
    consumer: Heartbeat = field(default_factory=Heartbeat)
    _broken_since: float | None = None
    _ticked: float = field(default_factory=time.monotonic)

    async def run(self) -> None:
        """Until cancelled; ends the process with code 70 after 30 s of being broken, or of a frozen event loop."""
        threading.Thread(target=self._watch_the_loop, name="watchdog", daemon=True).start()
        started = time.monotonic()
        while True:
            self._ticked = time.monotonic()
            trouble = await self._find_trouble(started)
            self._judge(trouble)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _find_trouble(self, started: float) -> str | None:
        await self._ask_database()
        trouble = await self._ask_queue()
        if trouble is None and not self.listening():
            trouble = "the listeners have no connection"
        last = self.fetches.last or started
        if trouble is None and time.monotonic() - last > PATIENCE_SECONDS:
            trouble = "no fetch has completed"
        return trouble if trouble and await server_greets(self.nats_url) else None

    async def _ask_database(self) -> None:
        try:
            async with self.database.transaction() as connection:
                await connection.execute("SELECT 1")
        except TRANSIENT as problem:
            log.warning("watchdog: the database does not answer: %s", type(problem).__name__)

    async def _ask_queue(self) -> str | None:
        try:
            state = await inspect(self.bus)
        except (Error, OSError, TimeoutError) as problem:
            return f"the consumer of requests cannot be seen: {type(problem).__name__}"
        if state.repaired:
            WATCHDOG_REPAIRS.inc()
            log.error("watchdog: the durable consumer was missing and has been made again")
        LAG_MESSAGES.set(state.waiting)
        self.consumer.beat()
        return None

    def _judge(self, trouble: str | None) -> None:
        if trouble is None:
            self._broken_since = None
            return
        self._broken_since = self._broken_since or time.monotonic()
        log.error("watchdog: %s", trouble)
        if time.monotonic() - self._broken_since > PATIENCE_SECONDS:
            log.critical("watchdog: broken for too long, ending: %s", trouble)
            os._exit(EXIT_CODE)

    def _watch_the_loop(self) -> None:
        while True:
            time.sleep(INTERVAL_SECONDS)
            if time.monotonic() - self._ticked > 2 * PATIENCE_SECONDS:
                log.critical("watchdog: the event loop is frozen, ending")
                os._exit(EXIT_CODE)
