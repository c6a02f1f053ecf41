"""Raw requests that their project keeps for a shorter time than the installation: announced as gone first, then deleted in pieces."""

from dataclasses import dataclass
from datetime import date

from psycopg import AsyncConnection
from psycopg.rows import class_row

_LOCK = 4_711_003
SETTLE_SECONDS = 60
"""No booking takes that long: whoever books an event twice at once sees the first row, or its receipt."""

DUE = """
SELECT p.project_id, %(today)s::date - p.retention_days AS raw_from
FROM projects p
WHERE p.retention_days < %(kept_days)s
ORDER BY p.project_id
"""
ANNOUNCE = """
INSERT INTO pruned_projects AS d (project_id, raw_from)
SELECT * FROM unnest(%s::text[], %s::date[])
ON CONFLICT (project_id) DO UPDATE SET raw_from = excluded.raw_from WHERE d.raw_from < excluded.raw_from
"""
UNANNOUNCED = """
SELECT EXISTS (
    SELECT FROM unnest(%s::text[], %s::date[]) AS w(project_id, raw_from) LEFT JOIN pruned_projects d USING (project_id)
    WHERE d.raw_from IS NULL OR d.raw_from < w.raw_from
)
"""
OLDEST = """
SELECT period_day FROM requests
WHERE project_id = %(project)s AND period_day < %(raw_from)s AND recorded_at < now() - make_interval(secs => %(settle)s)
ORDER BY period_day LIMIT 1
"""
DELETE = """
DELETE FROM requests WHERE period_day = %(day)s AND event_id = ANY(ARRAY(
    SELECT event_id FROM requests
    WHERE project_id = %(project)s AND period_day = %(day)s AND recorded_at < now() - make_interval(secs => %(settle)s)
    LIMIT %(most)s
))
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A project that keeps its raw requests only from this day on."""

    project_id: str
    raw_from: date


async def wait_for_pruning(connection: AsyncConnection) -> None:
    """To be called by a booking before its statement: that then sees every announcement whose deletions may have begun."""
    await connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", (_LOCK,))


async def wait_for_bookings(connection: AsyncConnection) -> None:
    """The other side: until the transaction ends no booking runs. What it has announced by then, every later one sees."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


async def due(connection: AsyncConnection, today: date, kept_days: int) -> list[Due]:
    """The projects that keep less than the installation's `kept_days`."""
    async with connection.cursor(row_factory=class_row(Due)) as cursor:
        await cursor.execute(DUE, {"today": today, "kept_days": kept_days})
        return await cursor.fetchall()


async def announce(connection: AsyncConnection, projects: list[Due]) -> None:
    """Say that earlier rows may be missing, inside the caller's transaction; waits until no booking runs that does not know it."""
    values = ([one.project_id for one in projects], [one.raw_from for one in projects])
    news = await (await connection.execute(UNANNOUNCED, values)).fetchone()
    if news and news[0]:
        await wait_for_bookings(connection)
        await connection.execute(ANNOUNCE, values)


async def delete_some(connection: AsyncConnection, project: Due, most: int) -> int | None:
    """Delete at most so many rows of the oldest day that is past, inside the caller's transaction; None when there is no such day."""
    values = {"project": project.project_id, "raw_from": project.raw_from, "settle": SETTLE_SECONDS, "most": most}
    found = await (await connection.execute(OLDEST, values)).fetchone()
    if found is None:
        return None
    return (await connection.execute(DELETE, {**values, "day": found[0]})).rowcount
