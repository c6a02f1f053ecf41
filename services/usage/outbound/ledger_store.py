"""Where scopes stand, read from the ledger for those who are told about it."""

from collections.abc import Collection
from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import class_row

STANDINGS = """
SELECT l.scope, l.scope_id, l.period, l.spent_tokens, l.spent_nanousd, p.monthly_tokens, p.monthly_cost_nanousd, p.limit_version
FROM unnest(%s::text[], %s::text[]) AS asked(scope_id, period)
JOIN ledger l ON (l.scope, l.scope_id, l.period) = ('project', asked.scope_id, asked.period)
LEFT JOIN projects p ON p.project_id = l.scope_id
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Spend and limits of a project in a month; limits None = none, or the project is not known yet."""

    scope: str
    scope_id: str
    period: str
    spent_tokens: int
    spent_nanousd: int
    monthly_tokens: int | None
    monthly_cost_nanousd: int | None
    limit_version: int | None


async def standings(connection: AsyncConnection, wanted: Collection[tuple[str, str]]) -> list[Standing]:
    """Standings of (project, month) pairs; a pair that nothing was spent in is left out."""
    projects, periods = zip(*wanted, strict=True)
    async with connection.cursor(row_factory=class_row(Standing)) as cursor:
        await cursor.execute(STANDINGS, (list(projects), list(periods)))
        return await cursor.fetchall()
