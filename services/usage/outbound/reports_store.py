"""What reports read: aggregates by day, by model, durations, and the raw requests newest first."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row
from psycopg.sql import SQL, Composed
from psycopg.types.json import Jsonb

SUMS = SQL("""
    coalesce(sum(requests), 0)::bigint AS requests, coalesce(sum(errors), 0)::bigint AS errors,
    coalesce(sum(cache_hits), 0)::bigint AS cache_hits, coalesce(sum(prompt_tokens), 0)::bigint AS prompt_tokens,
    coalesce(sum(completion_tokens), 0)::bigint AS completion_tokens,
    coalesce(sum(cached_prompt_tokens), 0)::bigint AS cached_prompt_tokens,
    coalesce(sum(reasoning_tokens), 0)::bigint AS reasoning_tokens, coalesce(sum(cost_nanousd), 0)::bigint AS cost_nanousd,
    coalesce(sum(saved_tokens), 0)::bigint AS saved_tokens, coalesce(sum(saved_nanousd), 0)::bigint AS saved_nanousd,
    coalesce(sum(estimated), 0)::bigint AS estimated, coalesce(sum(unpriced), 0)::bigint AS unpriced
""")

DAYS = SQL(
    "SELECT day::text AS name, {} FROM daily_usage WHERE project_id = %s AND day BETWEEN %s AND %s GROUP BY day ORDER BY day"
).format(SUMS)
MODELS = SQL(
    "SELECT model AS name, {} FROM daily_usage WHERE project_id = %s AND day BETWEEN %s AND %s GROUP BY model ORDER BY model"
).format(SUMS)
TOTAL = SQL("SELECT '' AS name, {} FROM daily_usage WHERE project_id = %s AND day BETWEEN %s AND %s").format(SUMS)
DURATIONS = """
SELECT day, metric, bucket, observations FROM durations WHERE project_id = %s AND day BETWEEN %s AND %s
"""
HELD = """
SELECT
    coalesce(sum(greatest(0, g.granted_tokens - coalesce(s.tokens, 0))), 0)::bigint,
    coalesce(sum(greatest(0, g.granted_nanousd - coalesce(s.nanousd, 0))), 0)::bigint
FROM grants g
LEFT JOIN boot_spend s USING (scope, scope_id, period, boot)
LEFT JOIN boots b ON b.boot = g.boot
WHERE (g.scope, g.scope_id, g.period) = ('project', %s, %s) AND b.closed IS NOT TRUE
"""
SPENT = "SELECT spent_tokens, spent_nanousd FROM ledger WHERE (scope, scope_id, period) = ('project', %s, %s)"
REQUESTS = """
SELECT
    event_id::text, request_id, period_day::text AS day, admitted_at, finished_at, key_id, endpoint, model_requested, model, tier,
    stream, cache, status, http_status, error_code, prompt_tokens, completion_tokens, cached_prompt_tokens, reasoning_tokens,
    usage_source, cost_nanousd, cost_status, cost_verified, upstream_cost_nanousd, price_version, hold_tokens, hold_nanousd,
    saved_tokens, saved_nanousd, latency_us, ttft_us, gateway, tags, attempts, decision
FROM requests
WHERE project_id = %(project)s AND period_day BETWEEN %(first)s AND %(last)s
    AND (%(request_id)s::text IS NULL OR request_id = %(request_id)s)
    AND (%(status)s::text IS NULL OR status = %(status)s)
    AND tags @> ALL(%(tags)s::jsonb[])
    AND (%(before_day)s::date IS NULL OR (period_day, event_id) < (%(before_day)s::date, %(before_id)s::uuid))
ORDER BY period_day DESC, event_id DESC
LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Sums:
    """Counts of one day, one model, or of all; `name` says which."""

    name: str
    requests: int
    errors: int
    cache_hits: int
    prompt_tokens: int
    completion_tokens: int
    cached_prompt_tokens: int
    reasoning_tokens: int
    cost_nanousd: int
    saved_tokens: int
    saved_nanousd: int
    estimated: int
    unpriced: int


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Which raw requests: those with all of the `tags`; `before` = (day, event id) of the last one already seen."""

    project_id: str
    first: date
    last: date
    limit: int
    request_id: str | None = None
    status: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    before: tuple[date, str] | None = None


async def _sums(connection: AsyncConnection, statement: Composed, project_id: str, first: date, last: date) -> list[Sums]:
    async with connection.cursor(row_factory=class_row(Sums)) as cursor:
        await cursor.execute(statement, (project_id, first, last))
        return await cursor.fetchall()


async def sums_by_day(connection: AsyncConnection, project_id: str, first: date, last: date) -> list[Sums]:
    """One row per day on which anything happened, oldest first."""
    return await _sums(connection, DAYS, project_id, first, last)


async def sums_by_model(connection: AsyncConnection, project_id: str, first: date, last: date) -> list[Sums]:
    """One row per model, by name; requests that reached no model have an empty one."""
    return await _sums(connection, MODELS, project_id, first, last)


async def total(connection: AsyncConnection, project_id: str, first: date, last: date) -> Sums:
    """One row over all days, zeros when nothing happened."""
    return (await _sums(connection, TOTAL, project_id, first, last))[0]


async def durations(connection: AsyncConnection, project_id: str, first: date, last: date) -> list[tuple[date, str, int, int]]:
    """Day, metric, bucket, observations."""
    return await (await connection.execute(DURATIONS, (project_id, first, last))).fetchall()


async def spent_and_held(connection: AsyncConnection, project_id: str, month: str) -> tuple[int, int, int, int]:
    """Tokens and nano-USD spent, then tokens and nano-USD that gateways may still spend of their grants."""
    spent = await (await connection.execute(SPENT, (project_id, month))).fetchone() or (0, 0)
    held = await (await connection.execute(HELD, (project_id, month))).fetchone() or (0, 0)
    return spent[0], spent[1], held[0], held[1]


async def requests(connection: AsyncConnection, wanted: RequestFilter) -> list[dict[str, Any]]:
    """Raw requests, newest first."""
    before_day, before_id = wanted.before or (None, None)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            REQUESTS,
            {
                "project": wanted.project_id,
                "first": wanted.first,
                "last": wanted.last,
                "request_id": wanted.request_id,
                "status": wanted.status,
                "tags": [Jsonb({name: value}) for name, value in wanted.tags],
                "before_day": before_day,
                "before_id": before_id,
                "limit": wanted.limit,
            },
        )
        return await cursor.fetchall()


def moment(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
