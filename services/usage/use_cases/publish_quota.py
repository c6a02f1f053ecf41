"""Tell the gateways where scopes stand, after the commit and recomputed from the ledger; at most ten times a second each."""

import asyncio
import logging
import time

import msgspec
from nats.errors import Error

from common.contracts.events import QuotaState
from common.contracts.subjects import QUOTA_STATE
from usage.outbound.bus import Bus
from usage.outbound.database import TRANSIENT, Database
from usage.outbound.ledger_store import Scope, Standing, standings

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.1
MOST_AT_ONCE = 1_000
ALWAYS_TOLD = frozenset({"organization", "project"})
"""The others only where they have a limit, or had one that has been removed."""


class PublishQuota:
    """Collects what was touched; `run` says it. What could not be said is kept for the next round."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database, self._bus = database, bus
        self._waiting: set[Scope] = set()
        self._wake = asyncio.Event()

    def touch(self, touched: frozenset[Scope]) -> None:
        """These have changed. End users are not told of: nobody shows them, and there are any number of them."""
        told = {scope for scope in touched if scope[0] != "end_user"}
        if told:
            self._waiting |= told
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

    async def _say(self, batch: frozenset[Scope]) -> None:
        if not batch:
            return
        client = self._bus.client
        async with self._database.transaction() as connection:
            found = await standings(connection, batch)
        for standing in found:
            if standing.scope in ALWAYS_TOLD or standing.limit_version is not None:
                token = standing.scope_id.rpartition("/")[2]
                await client.publish(f"{QUOTA_STATE}.{token}", msgspec.json.encode(state_of(standing)))


def state_of(standing: Standing) -> QuotaState:
    """The event for a standing."""
    return QuotaState(
        scope=standing.scope,
        scope_id=standing.scope_id,
        period=standing.period,
        used_tokens=standing.spent_tokens,
        used_nanousd=standing.spent_nanousd,
        limit_tokens=standing.limit_tokens,
        limit_nanousd=standing.limit_nanousd,
        limit_version=standing.limit_version or 0,
        as_of=time.time_ns() // 1_000_000,
    )
