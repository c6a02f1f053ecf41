"""Deletes what can count no more, in pieces; passes over what somebody holds locked, so that it never waits and nobody waits in a circle.

Each function deletes at most so many rows inside the caller's transaction and says how many there were.
"""

from datetime import date

from psycopg import AsyncConnection
from psycopg.sql import SQL, Composed, Identifier

from usage.domain.bygones import ALERT_DAYS, CLOSED_BOOT_DAYS, periods_kept_from

# From one boot to the next by the index: they are few, their rows may be millions.
CLOSED_BOOTS = """
WITH RECURSIVE present AS (
    (SELECT boot FROM {table} ORDER BY boot LIMIT 1)
    UNION ALL
    SELECT (SELECT t.boot FROM {table} t WHERE t.boot > p.boot ORDER BY t.boot LIMIT 1) FROM present p WHERE p.boot IS NOT NULL
)
SELECT boot FROM present JOIN boots b USING (boot) WHERE b.closed AND b.last_seen < now() - make_interval(days => %s)
"""
OF_BOOTS = """
DELETE FROM {table} WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM {table} WHERE boot = ANY(%s) LIMIT %s FOR UPDATE SKIP LOCKED
))
"""

# The last piece is smaller than the limit: without the index the whole table would be read for it.
BY_INDEX = "SET LOCAL enable_seqscan = off"

# The row of the ledger is the lock of its scope and period. One that was made or booked into just now is in use.
OVER = """
SELECT scope, scope_id, period FROM ledger
WHERE (length(period) = 10 OR scope = 'end_user') AND period < %(day)s AND (length(period) = 10 OR period < %(month)s)
    AND changed_at < now() - interval '1 hour'
LIMIT %(most)s
FOR UPDATE SKIP LOCKED
"""
OF_PERIODS = """
DELETE FROM {table} t USING unnest(%s::text[], %s::text[], %s::text[]) AS bygone(scope, scope_id, period)
WHERE (t.scope, t.scope_id, t.period) = (bygone.scope, bygone.scope_id, bygone.period)
"""

ALERTS = """
DELETE FROM alerts WHERE alert_id = ANY(ARRAY(
    SELECT alert_id FROM alerts WHERE raised_at < now() - make_interval(days => %s) LIMIT %s FOR UPDATE SKIP LOCKED
))
"""


async def forget_grants(connection: AsyncConnection, most: int) -> int:
    """Grants of boots that are closed and were not heard of for a day."""
    return await _forget_of_closed_boots(connection, "grants", most)


async def forget_shares(connection: AsyncConnection, most: int) -> int:
    """What such boots have spent of each budget; the ledger has it in its sums."""
    return await _forget_of_closed_boots(connection, "boot_spend", most)


async def _forget_of_closed_boots(connection: AsyncConnection, table: str, most: int) -> int:
    await connection.execute(BY_INDEX)
    found = await (await connection.execute(_of(table, CLOSED_BOOTS), (CLOSED_BOOT_DAYS,))).fetchall()
    if not found:
        return 0
    return (await connection.execute(_of(table, OF_BOOTS), ([boot for (boot,) in found], most))).rowcount


async def forget_periods(connection: AsyncConnection, most: int, today: date) -> int:
    """Budgets of days and of end users that are long over, with all grants and shares; months of the others stay."""
    day, month = periods_kept_from(today)
    await connection.execute(BY_INDEX)
    over = await (await connection.execute(OVER, {"day": day, "month": month, "most": most})).fetchall()
    if over:
        names = [list(column) for column in zip(*over, strict=True)]
        for table in ("grants", "boot_spend", "ledger"):
            await connection.execute(_of(table, OF_PERIODS), names)
    return len(over)


async def forget_alerts(connection: AsyncConnection, most: int) -> int:
    """Alerts that are older than any report."""
    return (await connection.execute(ALERTS, (ALERT_DAYS, most))).rowcount


def _of(table: str, statement: str) -> Composed:
    return SQL(statement).format(table=Identifier(table))
