"""Alerts in the database: told once each, published at least once, listed newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from common.contracts.events import AlertRaised

RAISE = """
INSERT INTO alerts (
    alert_id, kind, organization_id, project_id, scope, scope_id, period, unit, threshold, percent, limit_amount, used_amount
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""

_FIELDS = """
    alert_id::text, kind, organization_id, project_id, scope, scope_id, period, unit, percent, limit_amount, used_amount, raised_at
"""

UNPUBLISHED = f"SELECT {_FIELDS} FROM alerts WHERE published_at IS NULL ORDER BY alert_id LIMIT %s FOR UPDATE SKIP LOCKED"  # noqa: S608 - our own text
PUBLISHED = "UPDATE alerts SET published_at = now() WHERE alert_id = ANY(%s::uuid[])"
LIST = f"""
SELECT {_FIELDS} FROM alerts
WHERE (%(organization)s::text IS NULL OR organization_id = %(organization)s)
    AND (%(project)s::text IS NULL OR project_id = %(project)s)
    AND (%(period)s::text IS NULL OR period = %(period)s)
    AND (%(kind)s::text IS NULL OR kind = %(kind)s)
    AND (%(before)s::uuid IS NULL OR alert_id < %(before)s::uuid)
ORDER BY alert_id DESC
LIMIT %(limit)s
"""  # noqa: S608 - our own text

Row = dict[str, Any]


async def raise_alerts(connection: AsyncConnection, rows: Sequence[tuple[object, ...]]) -> int:
    """Store those that have not been told; how many that were. Inside the caller's transaction."""
    if not rows:
        return 0
    async with connection.cursor() as cursor:
        await cursor.executemany(RAISE, rows)
        return max(0, cursor.rowcount)


async def take_unpublished(connection: AsyncConnection, *, limit: int) -> list[AlertRaised]:
    """Alerts that nobody has been told of; theirs while the caller's transaction lasts."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(UNPUBLISHED, (limit,))
        return [_event(row) for row in await cursor.fetchall()]


async def mark_published(connection: AsyncConnection, alerts: Sequence[AlertRaised]) -> None:
    """They have been said."""
    await connection.execute(PUBLISHED, ([alert.alert_id for alert in alerts],))


async def list_alerts(connection: AsyncConnection, **wanted: object) -> list[Row]:
    """Newest first; `organization` or `project`, `period`, `kind`, `before` (an alert id), `limit`."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(LIST, wanted)
        return await cursor.fetchall()


def _event(row: Row) -> AlertRaised:
    raised_at: datetime = row["raised_at"]
    return AlertRaised(
        alert_id=row["alert_id"],
        kind=row["kind"],
        organization_id=row["organization_id"],
        project_id=row["project_id"],
        scope=row["scope"],
        scope_id=row["scope_id"],
        period=row["period"],
        unit=row["unit"],
        percent=row["percent"],
        limit=row["limit_amount"],
        used=row["used_amount"],
        raised_at=int(raised_at.timestamp() * 1000),
    )
