"""The pool of Postgres connections: bounded in number and in time, healthy again by itself after the server was away."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from common.health import Heartbeat

POOL_SIZE = 12
WAIT_SECONDS = 2.0
CHECK_AFTER_SECONDS = 1.0
TRANSACTION_SECONDS = 15.0
LIMITS = "-c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=20s -c timezone=UTC"

TRANSIENT = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, TimeoutError, OSError)
"""What passes by itself: connection lost, deadlock, serialization, lock or statement timeout, disk full, no connection to be had."""

PERMANENT = (psycopg.DataError, psycopg.IntegrityError)
"""What would fail again with the same values."""

FAILURES = (psycopg.Error, *TRANSIENT)
"""All that a transaction may end with."""


class Database:
    """Transactions on the service's own schema. `heartbeat` beats with every one that commits.

    `name` tells its connections from those of another pool, `size` is how many there are at the most.
    """

    def __init__(self, url: str, password: str, *, name: str = "usage", size: int = POOL_SIZE) -> None:
        self.heartbeat = Heartbeat()
        self._worked: WeakKeyDictionary[AsyncConnection, float] = WeakKeyDictionary()
        self._pool = AsyncConnectionPool[AsyncConnection](
            url,
            kwargs={
                "password": password,
                "application_name": f"codexflow-{name}",
                "connect_timeout": 2,
                "keepalives_idle": 10,
                "keepalives_interval": 3,
                "keepalives_count": 3,
                "tcp_user_timeout": 10_000,
                "options": LIMITS,
            },
            min_size=1,
            max_size=size,
            max_idle=60,
            timeout=WAIT_SECONDS,
            reconnect_timeout=3,
            check=self._check,
            open=False,
            name=name,
        )

    async def open(self) -> None:
        """Start connecting in the background; returns at once, whether the server is there or not."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Give all connections back."""
        await self._pool.close(timeout=3)

    async def _check(self, connection: AsyncConnection) -> None:
        """A connection that has just worked is not asked again whether it works."""
        now = time.monotonic()
        if now - self._worked.get(connection, 0) > CHECK_AFTER_SECONDS:
            await AsyncConnectionPool.check_connection(connection)

    @asynccontextmanager
    async def transaction(self, *, wait: float = WAIT_SECONDS) -> AsyncIterator[AsyncConnection]:
        """One transaction, committed at the end of the block; never longer than 15 s. Raises one of TRANSIENT when it cannot be had."""
        async with asyncio.timeout(TRANSACTION_SECONDS), self._pool.connection(timeout=wait) as connection:
            async with connection.transaction():
                yield connection
            self._worked[connection] = time.monotonic()
            self.heartbeat.beat()
