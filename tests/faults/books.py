"""What usage has on its books, read by SQL as superuser and never through usage itself."""

from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]

REQUESTS = """
SELECT event_id::text, period_day, period_month, request_id, organization_id, project_id, boot, boot_number, status, usage_source,
    prompt_tokens, completion_tokens, cost_nanousd, hold_tokens, hold_nanousd, cost_verified, cache, attempts,
    coalesce(decision->>'mode', '') AS mode, extract(epoch FROM admitted_at)::float AS admitted_at,
    extract(epoch FROM finished_at)::float AS finished_at
FROM usage.requests
"""

DAILY = """
SELECT coalesce(d.day, r.day) AS day, coalesce(d.project_id, r.project_id) AS project_id,
    coalesce(d.key_id, r.key_id) AS key_id, coalesce(d.model, r.model) AS model,
    array[d.requests, d.prompt_tokens, d.completion_tokens, d.cost_nanousd, d.errors, d.cache_hits, d.estimated] AS aggregated,
    r.summed
FROM usage.daily_usage d
FULL JOIN (
    SELECT period_day AS day, project_id, key_id, model,
        array[count(*), sum(prompt_tokens), sum(completion_tokens), sum(cost_nanousd),
            count(*) FILTER (WHERE status NOT IN ('ok', 'client_closed')), count(*) FILTER (WHERE cache = 'hit'),
            count(*) FILTER (WHERE cost_status = 'estimated')]::bigint[] AS summed
    FROM usage.requests GROUP BY 1, 2, 3, 4
) r USING (day, project_id, key_id, model)
WHERE r.summed IS DISTINCT FROM
    array[d.requests, d.prompt_tokens, d.completion_tokens, d.cost_nanousd, d.errors, d.cache_hits, d.estimated]
"""

DURATIONS = """
SELECT (SELECT coalesce(sum(observations), 0) FROM usage.durations WHERE metric = 'latency')::bigint AS observed,
    (SELECT count(*) FROM usage.requests WHERE status NOT IN ('refused', 'aborted')) AS measured
"""

LEDGER = """
SELECT project_id, period, coalesce(l.spent_tokens, 0) AS spent_tokens, coalesce(l.spent_nanousd, 0) AS spent_nanousd,
    coalesce(r.tokens, 0)::bigint AS row_tokens, coalesce(r.nanousd, 0)::bigint AS row_nanousd
FROM (SELECT scope_id AS project_id, period, spent_tokens, spent_nanousd FROM usage.ledger WHERE scope = 'project' AND length(period) = 7) l
FULL JOIN (
    SELECT project_id, period_month AS period, sum(prompt_tokens + completion_tokens) AS tokens, sum(cost_nanousd) AS nanousd
    FROM usage.requests GROUP BY 1, 2
) r USING (project_id, period)
"""

BOOT_SPEND = """
SELECT project_id, period, boot, coalesce(s.tokens, 0) AS spent_tokens, coalesce(s.nanousd, 0) AS spent_nanousd,
    coalesce(r.tokens, 0)::bigint AS row_tokens, coalesce(r.nanousd, 0)::bigint AS row_nanousd
FROM (SELECT scope_id AS project_id, period, boot, tokens, nanousd FROM usage.boot_spend WHERE scope = 'project' AND length(period) = 7) s
FULL JOIN (
    SELECT project_id, period_month AS period, boot, sum(prompt_tokens + completion_tokens) AS tokens, sum(cost_nanousd) AS nanousd
    FROM usage.requests GROUP BY 1, 2, 3
) r USING (project_id, period, boot)
"""

# Where the books of any scope and period, end users' where they have limits, are not the sums of the requests; must be empty.
SCOPE_DIFFERENCES = """
WITH counted AS (
    SELECT s.scope, s.scope_id, p.period, r.boot, sum(r.prompt_tokens + r.completion_tokens)::bigint AS tokens,
        sum(r.cost_nanousd)::bigint AS nanousd
    FROM usage.requests r,
    LATERAL (VALUES
        ('organization', r.organization_id), ('project', r.project_id), ('key', r.key_id),
        ('member', r.organization_id || '/' || r.owner_id),
        ('end_user', CASE WHEN r.end_user_counted THEN r.project_id || '/' || r.end_user END)
    ) AS s(scope, scope_id),
    LATERAL (VALUES (r.period_month), (r.period_day::text)) AS p(period)
    WHERE s.scope_id IS NOT NULL
    GROUP BY 1, 2, 3, 4
)
SELECT 'ledger' AS book, scope, scope_id, period, l.spent_tokens, l.spent_nanousd, c.tokens, c.nanousd
FROM usage.ledger l
FULL JOIN (SELECT scope, scope_id, period, sum(tokens) AS tokens, sum(nanousd) AS nanousd FROM counted GROUP BY 1, 2, 3) c
    USING (scope, scope_id, period)
WHERE (coalesce(l.spent_tokens, 0), coalesce(l.spent_nanousd, 0)) <> (coalesce(c.tokens, 0), coalesce(c.nanousd, 0))
UNION ALL
SELECT 'boot_spend ' || boot, scope, scope_id, period, b.tokens, b.nanousd, c.tokens, c.nanousd
FROM usage.boot_spend b FULL JOIN counted c USING (scope, scope_id, period, boot)
WHERE (coalesce(b.tokens, 0), coalesce(b.nanousd, 0)) <> (coalesce(c.tokens, 0), coalesce(c.nanousd, 0))
"""

# What boots were granted, or have spent if that is more, of every scope and period; of a closed boot nothing but what it has spent.
# Limits of organizations and projects as the directory has them, of all others as gateways have told them.
OBLIGATIONS = """
SELECT l.scope, l.scope_id, l.period, l.organization_id, l.project_id, l.spent_tokens, l.spent_nanousd,
    CASE l.scope WHEN 'project' THEN CASE length(l.period) WHEN 7 THEN p.monthly_tokens ELSE p.daily_tokens END
        WHEN 'organization' THEN CASE length(l.period) WHEN 7 THEN o.monthly_tokens ELSE o.daily_tokens END
        ELSE l.limit_tokens END AS limit_tokens,
    CASE l.scope WHEN 'project' THEN CASE length(l.period) WHEN 7 THEN p.monthly_cost_nanousd ELSE p.daily_cost_nanousd END
        WHEN 'organization' THEN CASE length(l.period) WHEN 7 THEN o.monthly_cost_nanousd ELSE o.daily_cost_nanousd END
        ELSE l.limit_nanousd END AS limit_nanousd,
    sum(CASE WHEN b.closed THEN coalesce(s.tokens, 0)
        ELSE greatest(coalesce(g.granted_tokens, 0), coalesce(s.tokens, 0)) END)::bigint AS tokens,
    sum(CASE WHEN b.closed THEN coalesce(s.nanousd, 0)
        ELSE greatest(coalesce(g.granted_nanousd, 0), coalesce(s.nanousd, 0)) END)::bigint AS nanousd
FROM usage.grants g
FULL JOIN usage.boot_spend s USING (scope, scope_id, period, boot)
JOIN usage.ledger l USING (scope, scope_id, period)
LEFT JOIN usage.boots b USING (boot)
LEFT JOIN usage.projects p ON l.scope = 'project' AND p.project_id = l.scope_id
LEFT JOIN usage.organizations o ON l.scope = 'organization' AND o.organization_id = l.scope_id
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
"""

BOOTS = """
SELECT boot, received::text, contiguous, closed, close_at, coalesce(r.rows, 0) AS rows, coalesce(r.numbers, 0) AS numbers,
    coalesce(r.highest, 0) AS highest
FROM usage.boots
FULL JOIN (
    SELECT boot, count(*) AS rows, count(DISTINCT boot_number) AS numbers, max(boot_number) AS highest
    FROM usage.requests GROUP BY 1
) r USING (boot)
"""


@dataclass(frozen=True, slots=True)
class Books:
    """One consistent picture of everything."""

    requests: list[Row]
    daily_differences: list[Row]
    durations: Row
    ledger: list[Row]
    boot_spend: list[Row]
    obligations: list[Row]
    boots: list[Row]
    scope_differences: list[Row] = field(default_factory=list)


def read_books(conninfo: str) -> Books:
    """One snapshot; raises psycopg.OperationalError when the database is away."""
    with psycopg.connect(conninfo, row_factory=dict_row) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        queries = (REQUESTS, DAILY, DURATIONS, LEDGER, BOOT_SPEND, OBLIGATIONS, BOOTS, SCOPE_DIFFERENCES)
        rows = [connection.execute(sql).fetchall() for sql in queries]
    return Books(rows[0], rows[1], rows[2][0], *rows[3:])


def read_boots(conninfo: str) -> dict[str, Row]:
    """The receipts alone, by boot."""
    with psycopg.connect(conninfo, row_factory=dict_row) as connection:
        return {row["boot"]: row for row in connection.execute(BOOTS).fetchall()}
