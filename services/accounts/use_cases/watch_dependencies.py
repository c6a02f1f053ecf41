"""Watch what accounts depends on, so that readiness can be answered from memory."""

import asyncio
import time

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.domain.presence import PresenceView
from accounts.outbound import metrics
from accounts.outbound.bus import Bus
from accounts.outbound.outbox import backlog
from common.health import Dependency, Heartbeat

CHECK_SECONDS = 1.0
CHECK_TIMEOUT_SECONDS = 3.0
STALE_SECONDS = 5.0


class Dependencies:
    """When PostgreSQL and NATS last answered."""

    def __init__(self, engine: AsyncEngine, bus: Bus, presence: PresenceView) -> None:
        self._engine, self._bus, self._presence = engine, bus, presence
        self._postgres = Heartbeat()
        self._problem: str | None = None

    def check(self) -> list[Dependency]:
        """From memory, for /readyz."""
        return [
            _dependency("postgres", self._postgres, self._problem),
            _dependency("nats", self._bus.heartbeat, None),
        ]

    async def watch(self) -> None:
        """Ask PostgreSQL each second (the bus keeps its own heartbeat), until cancelled."""
        while True:
            try:
                async with asyncio.timeout(CHECK_TIMEOUT_SECONDS), self._engine.begin() as connection:
                    await connection.execute(text("SELECT 1 FROM directory_state"))
                    metrics.OUTBOX_BACKLOG.set(await backlog(connection))
                self._postgres.beat()
                self._problem = None
            except (SQLAlchemyError, OSError, TimeoutError) as problem:
                self._problem = type(problem).__name__
            metrics.GATEWAYS.set(self._presence.alive(time.monotonic()))
            await asyncio.sleep(CHECK_SECONDS)


def _dependency(name: str, heartbeat: Heartbeat, detail: str | None) -> Dependency:
    age = heartbeat.age
    fresh = age is not None and age <= STALE_SECONDS
    return Dependency(name, "up" if fresh else "down", needed=True, age_seconds=age, detail=None if fresh else detail)
