"""Tell the gateways where a project stands, after the commit and recomputed from the ledger; at most ten times a second each."""

import asyncio
import logging
import time

import msgspec
from nats.errors import Error

from common.contracts.events import QuotaState
from common.contracts.subjects import QUOTA_STATE
from usage.outbound.bus import Bus
from usage.outbound.database import TRANSIENT, Database
from usage.outbound.ledger_store import Standing, standings

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.1
MOST_AT_ONCE = 1_000


class PublishQuota:
    """Collects what was touched; `run` says it. What could not be said is kept for the next round."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database, self._bus = database, bus
        self._waiting: set[tuple[str, str]] = set()
        self._wake = asyncio.Event()

    def touch(self, pairs: frozenset[tuple[str, str]]) -> None:
        """These (project, month) pairs have changed."""
        if pairs:
            self._waiting |= pairs
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch = frozenset(list(self._waiting)[:MOST_AT_ONCE])
            self._waiting -= batch
            try:
                await self._say(batch)
            except (*TRANSIENT, Error) as problem:
                log.warning("quota: not said, again later: %s", type(problem).__name__)
                self._waiting |= batch
                await asyncio.sleep(1)
            if self._waiting:
                self._wake.set()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _say(self, batch: frozenset[tuple[str, str]]) -> None:
        if not batch:
            return
        client = self._bus.client
        async with self._database.transaction() as connection:
            found = await standings(connection, batch)
        for standing in found:
            await client.publish(f"{QUOTA_STATE}.{standing.scope_id}", msgspec.json.encode(state_of(standing)))


def state_of(standing: Standing) -> QuotaState:
    """The event for a standing."""
    return QuotaState(
        scope=standing.scope,
        scope_id=standing.scope_id,
        period=standing.period,
        used_tokens=standing.spent_tokens,
        used_nanousd=standing.spent_nanousd,
        limit_tokens=standing.monthly_tokens,
        limit_nanousd=standing.monthly_cost_nanousd,
        limit_version=standing.limit_version or 0,
        as_of=time.time_ns() // 1_000_000,
    )
