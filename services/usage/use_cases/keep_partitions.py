"""Keep the raw requests in day partitions: a week ahead, on demand for late events, dropped when older than the retention."""

import logging
from collections.abc import Set as AbstractSet
from datetime import date, timedelta

from usage.outbound import partitions
from usage.outbound.database import Database

log = logging.getLogger(__name__)

DAYS_AHEAD = 7
LATEST_DAYS_BACK = 35
ON_DEMAND_DAYS_AHEAD = 2


class Partitions:
    """Knows which days need no look-up any more. Days outside the window go to the quarantine partition."""

    def __init__(self, database: Database, retention_days: int) -> None:
        self.retention_days = retention_days
        self._database = database
        self._known: set[date] = set()

    async def ensure(self, days: AbstractSet[date], today: date) -> None:
        """Make partitions for days that deserve one; raises one of database.TRANSIENT."""
        back = min(LATEST_DAYS_BACK, self.retention_days)
        earliest, latest = today - timedelta(days=back), today + timedelta(days=ON_DEMAND_DAYS_AHEAD)
        wanted = {day for day in days if earliest <= day <= latest} - self._known
        if wanted:
            await self._create(wanted)

    async def prepare(self, today: date) -> list[date]:
        """Make the partitions of the coming week; returns those that were missing."""
        return await self._create({today + timedelta(days=ahead) for ahead in range(-1, DAYS_AHEAD + 1)})

    async def prune(self, today: date) -> list[date]:
        """Drop what is older than the retention; returns the dropped days. Aggregates, ledger and receipts stay."""
        first_kept = today - timedelta(days=self.retention_days)
        async with self._database.transaction() as connection:
            await partitions.announce_drop(connection, first_kept)
        async with self._database.transaction() as connection:
            dropped = await partitions.drop_before(connection, first_kept)
        self._known.difference_update(dropped)
        if dropped:
            log.info("partitions: dropped %d days", len(dropped), extra={"newest": str(max(dropped))})
        return dropped

    async def _create(self, days: set[date]) -> list[date]:
        async with self._database.transaction() as connection:
            created = await partitions.create_days(connection, days)
        self._known |= days
        if created:
            log.info("partitions: created %d days", len(created), extra={"newest": str(max(created))})
        return created
