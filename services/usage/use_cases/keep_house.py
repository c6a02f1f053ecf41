"""Keep the books ready for what comes and free of what counts no more: jobs that each stand on their own."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from psycopg import AsyncConnection

from usage.outbound import bygone_rows
from usage.outbound.database import FAILURES, Database
from usage.outbound.rate_leases_store import forget_silent
from usage.use_cases.keep_partitions import Partitions
from usage.use_cases.prune_projects import prune_projects

log = logging.getLogger(__name__)

HOUR_SECONDS = 3600.0
MINUTE_SECONDS = 60.0
RETRY_SECONDS = 5.0
ROWS_AT_ONCE = 2_000
MOST_TRANSACTIONS = 1_000

Job = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class KeepHouse:
    """A job that fails is tried again soon; the others are done meanwhile. What is beyond a job's bound, `rows_at_once` in each of
    `most_transactions`, waits for the next time.
    """

    database: Database
    partitions: Partitions
    rows_at_once: int = ROWS_AT_ONCE
    most_transactions: int = MOST_TRANSACTIONS

    async def every_hour(self) -> None:
        """Until cancelled: everything but the leases."""
        while True:
            await self._all_done(self._hourly(), HOUR_SECONDS)

    async def every_minute(self) -> None:
        """Until cancelled: leases of boots that are silent."""
        while True:
            await self._all_done({"leases": self._leases}, MINUTE_SECONDS)

    async def now(self) -> dict[str, object]:
        """Everything once: what each job has done, None for one that failed."""
        return {name: await self._try(name, job) for name, job in {**self._hourly(), "leases": self._leases}.items()}

    def _hourly(self) -> Mapping[str, Job]:
        return {
            "prepared": lambda: self.partitions.prepare(_today()),
            "dropped": lambda: self.partitions.prune(_today()),
            "deleted_rows": lambda: prune_projects(self.database, _today(), self.partitions.retention_days),
            "grants_of_closed_boots": lambda: self._in_pieces(bygone_rows.forget_grants),
            "shares_of_closed_boots": lambda: self._in_pieces(bygone_rows.forget_shares),
            "periods": lambda: self._in_pieces(lambda connection, most: bygone_rows.forget_periods(connection, most, _today())),
            "alerts": lambda: self._in_pieces(bygone_rows.forget_alerts),
        }

    async def _leases(self) -> int:
        return await self._in_pieces(forget_silent)

    async def _in_pieces(self, forget: Callable[[AsyncConnection, int], Awaitable[int]]) -> int:
        total = 0
        for _ in range(self.most_transactions):
            async with self.database.transaction() as connection:
                rows = await forget(connection, self.rows_at_once)
            total += rows
            if rows < self.rows_at_once:
                break
        return total

    async def _all_done(self, jobs: Mapping[str, Job], seconds: float) -> None:
        """Returns after so many seconds; what fails is tried again until then."""
        until = time.monotonic() + seconds
        while jobs and time.monotonic() < until:
            jobs = {name: job for name, job in jobs.items() if await self._try(name, job) is None}
            if jobs:
                await asyncio.sleep(RETRY_SECONDS)
        await asyncio.sleep(max(0.0, until - time.monotonic()))

    async def _try(self, name: str, job: Job) -> object:
        try:
            return await job()
        except FAILURES as problem:
            log.warning("house: %s: not done, again later: %s", name, type(problem).__name__)
            return None


def _today() -> date:
    return datetime.now(UTC).date()
