"""Watch what accounts depends on, so that readiness can be answered from memory."""

import asyncio
import logging
import time

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.domain.presence import PresenceView
from accounts.outbound import metrics
from accounts.outbound.audit import may_rewrite
from accounts.outbound.bus import Bus
from accounts.outbound.outbox import backlog
from common.health import Dependency, Heartbeat

CHECK_SECONDS = 1.0
CHECK_TIMEOUT_SECONDS = 3.0
STALE_SECONDS = 5.0

log = logging.getLogger(__name__)


class Dependencies:
    """When PostgreSQL and NATS last answered."""

    def __init__(self, engine: AsyncEngine, bus: Bus, presence: PresenceView) -> None:
        self._engine, self._bus, self._presence = engine, bus, presence
        self._postgres = Heartbeat()
        self._problem: str | None = None
        self._looked = False

    def check(self) -> list[Dependency]:
        """From memory, for /readyz."""
        return [
            _dependency("postgres", self._postgres, self._problem),
            _dependency("nats", self._bus.heartbeat, None),
        ]

    async def _look_at_the_audit_log(self, connection: AsyncConnection) -> None:
        """Say once when nothing but a trigger keeps us from rewriting it."""
        if not self._looked and await may_rewrite(connection):
            log.warning(
                "the service's database role owns the audit log or may change it; give the schema to a role of its own "
                "and migrate with ACCOUNTS_OWNER_DATABASE_URL (docs/DEPLOYMENT.md)"
            )
        self._looked = True

    async def watch(self) -> None:
        """Ask PostgreSQL each second (the bus keeps its own heartbeat), until cancelled."""
        while True:
            try:
                async with asyncio.timeout(CHECK_TIMEOUT_SECONDS), self._engine.begin() as connection:
                    await connection.execute(text("SELECT 1 FROM directory_state"))
                    metrics.OUTBOX_BACKLOG.set(await backlog(connection))
                    await self._look_at_the_audit_log(connection)
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
