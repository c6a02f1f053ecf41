"""Where scopes stand, read from the ledger for those who are told about it."""

from collections.abc import Collection
from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import class_row

Scope = tuple[str, str, str]
"""scope, scope_id, period."""

STANDINGS = """
SELECT
    l.scope, l.scope_id, l.period, l.spent_tokens, l.spent_nanousd, b.limit_tokens, b.limit_nanousd, b.limit_version,
    l.organization_id, l.project_id,
    CASE WHEN l.scope IN ('organization', 'member') THEN o.alert_percents ELSE p.alert_percents END AS alert_percents,
    coalesce(CASE WHEN now() < o.time_zone_from THEN o.earlier_time_zone END, o.time_zone, 'UTC') AS time_zone
FROM unnest(%s::text[], %s::text[], %s::text[]) AS asked(scope, scope_id, period)
JOIN ledger l USING (scope, scope_id, period)
LEFT JOIN projects p ON p.project_id = l.project_id
LEFT JOIN organizations o ON o.organization_id = l.organization_id
CROSS JOIN LATERAL (
    SELECT l.limit_version, l.limit_tokens, l.limit_nanousd WHERE l.scope NOT IN ('organization', 'project')
    UNION ALL
    SELECT p.limit_version, p.monthly_tokens, p.monthly_cost_nanousd WHERE l.scope = 'project' AND length(l.period) = 7
    UNION ALL
    SELECT p.limit_version, p.daily_tokens, p.daily_cost_nanousd WHERE l.scope = 'project' AND length(l.period) = 10
    UNION ALL
    SELECT o.limit_version, o.monthly_tokens, o.monthly_cost_nanousd WHERE l.scope = 'organization' AND length(l.period) = 7
    UNION ALL
    SELECT o.limit_version, o.daily_tokens, o.daily_cost_nanousd WHERE l.scope = 'organization' AND length(l.period) = 10
) AS b
"""

RECENTLY_CHANGED = """
SELECT scope, scope_id, period FROM ledger WHERE changed_at > now() - make_interval(secs => %s)
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Spend and limits of a scope in a period; limits None = none, or not known (yet). `alert_percents` None = not known."""

    scope: str
    scope_id: str
    period: str
    spent_tokens: int
    spent_nanousd: int
    limit_tokens: int | None
    limit_nanousd: int | None
    limit_version: int | None
    organization_id: str | None
    project_id: str | None
    alert_percents: list[int] | None
    time_zone: str


async def standings(connection: AsyncConnection, wanted: Collection[Scope]) -> list[Standing]:
    """Standings of scopes in periods; one that nothing was spent in is left out."""
    scopes, ids, periods = zip(*wanted, strict=True)
    async with connection.cursor(row_factory=class_row(Standing)) as cursor:
        await cursor.execute(STANDINGS, (list(scopes), list(ids), list(periods)))
        return await cursor.fetchall()


async def recently_changed(connection: AsyncConnection, *, seconds: float) -> list[Scope]:
    """What was spent in lately."""
    cursor = await connection.execute(RECENTLY_CHANGED, (seconds,))
    return [(scope, scope_id, period) for scope, scope_id, period in await cursor.fetchall()]
