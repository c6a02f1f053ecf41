"""Which replica relays: an advisory lock on a connection of its own, which also hears the outbox's NOTIFY."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from sqlalchemy import URL

from accounts.outbound.database import connect_options
from accounts.outbound.outbox import CHANNEL

RELAY_LOCK = 4_848_236_201
RETRY_SECONDS = 0.5
TICK_SECONDS = 1.0
KEEPALIVE = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
"""The server lets go of the lock of a machine that vanished within about ten seconds."""

LeadershipLost = psycopg.OperationalError


class Leadership:
    """Held for as long as the connection lives."""

    def __init__(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        self._connection = connection

    async def listen(self, wake: asyncio.Event) -> None:
        """Set `wake` at every commit that wrote to the outbox, and each second; raises LeadershipLost."""
        await self._connection.execute(f"LISTEN {CHANNEL}")
        while True:
            wake.set()
            async for _ in self._connection.notifies(timeout=TICK_SECONDS, stop_after=1):
                wake.set()
            await self._connection.execute("SELECT 1")


@asynccontextmanager
async def leadership(url: URL) -> AsyncIterator[Leadership]:
    """Wait until no other replica holds the lock, then hold it. Raises LeadershipLost when the database is away."""
    connection = await psycopg.AsyncConnection.connect(
        host=url.host,
        port=url.port or 5432,
        user=url.username,
        password=url.password and str(url.password),
        dbname=url.database,
        autocommit=True,
        **connect_options(statement_seconds=5, more=KEEPALIVE),
    )
    async with connection:
        while not await _try_lock(connection):  # noqa: ASYNC110 - the holder is another process, no event can tell
            await asyncio.sleep(RETRY_SECONDS)
        yield Leadership(connection)


async def _try_lock(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> bool:
    row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", [RELAY_LOCK])).fetchone()
    return row is not None and row[0] is True
