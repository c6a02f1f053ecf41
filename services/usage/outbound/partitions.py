"""Day partitions of the raw requests: made ahead of need, dropped by age; the default partition is the quarantine."""

from collections.abc import Iterable
from datetime import date, timedelta

from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier, Literal

from usage.outbound.project_retention import wait_for_bookings

PREFIX = "requests_"
_LOCK = 4_711_002  # one partition is made or dropped at a time, whoever does it

ANNOUNCE = """
INSERT INTO dropped_days AS d (raw_from) VALUES (%s)
ON CONFLICT (only_row) DO UPDATE SET raw_from = excluded.raw_from WHERE d.raw_from < excluded.raw_from
"""


async def existing_days(connection: AsyncConnection) -> set[date]:
    """The days that have a partition of their own."""
    cursor = await connection.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'requests'::regclass"
    )
    names = [row[0].removeprefix(PREFIX) for row in await cursor.fetchall()]
    return {date.fromisoformat(f"{name[:4]}-{name[4:6]}-{name[6:]}") for name in names if name.isdigit()}


async def create_days(connection: AsyncConnection, days: Iterable[date]) -> list[date]:
    """Make the partitions that are missing, inside the caller's transaction; rows waiting in quarantine for them move in."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    missing = sorted(set(days) - await existing_days(connection))
    for day in missing:
        await _create(connection, day)
    return missing


async def _create(connection: AsyncConnection, day: date) -> None:
    table = Identifier(_name(day))
    await connection.execute(SQL("CREATE TABLE {} (LIKE requests INCLUDING ALL)").format(table))
    await connection.execute("LOCK TABLE requests_default IN ACCESS EXCLUSIVE MODE")
    await connection.execute(
        SQL(
            "WITH moved AS (DELETE FROM requests_default WHERE period_day = {} RETURNING *) INSERT INTO {} SELECT * FROM moved"
        ).format(Literal(day), table)
    )
    await connection.execute(
        SQL("ALTER TABLE requests ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
            table, Literal(day), Literal(day + timedelta(days=1))
        )
    )


async def announce_drop(connection: AsyncConnection, day: date) -> None:
    """Say that rows before `day` may be missing, for good; in a transaction of its own, to be committed before they are dropped."""
    known = await (await connection.execute("SELECT raw_from FROM dropped_days")).fetchone()
    if known is None or known[0] < day:
        await wait_for_bookings(connection)
        await connection.execute(ANNOUNCE, (day,))


async def drop_before(connection: AsyncConnection, day: date) -> list[date]:
    """Drop every day before `day`, and what has been in quarantine longer than that, inside the caller's transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    old = sorted(found for found in await existing_days(connection) if found < day)
    for found in old:
        await connection.execute(SQL("DROP TABLE {}").format(Identifier(_name(found))))
    await connection.execute("DELETE FROM requests_default WHERE period_day < %(day)s AND recorded_at < %(day)s", {"day": day})
    return old


def _name(day: date) -> str:
    return f"{PREFIX}{day:%Y%m%d}"
