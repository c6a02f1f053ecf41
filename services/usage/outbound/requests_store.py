"""The one statement that books a batch: raw rows, and from those really inserted the aggregates, the ledger and the durations."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from psycopg import AsyncConnection

from usage.domain.settled_rows import SettledRow
from usage.outbound.ledger_store import Scope
from usage.outbound.project_retention import wait_for_pruning

# Everything that is counted comes from RETURNING: an event that is already there adds nothing, however often it is heard.
# Rows of days that have been dropped, for all or for their project, can no longer meet themselves there; the receipts remember them.
# Every upsert is sorted by its key, so that two workers never wait for each other in a circle.
BOOK = """
WITH incoming AS MATERIALIZED (
    SELECT e.*, w.number, w.verified, w.latency_bucket, w.ttft_bucket
    FROM jsonb_to_recordset(%(rows)s::jsonb)
        AS w(event jsonb, number bigint, verified boolean, latency_bucket integer, ttft_bucket integer),
    LATERAL jsonb_to_record(w.event) AS e(
        event_id uuid, period_day date, period_month text, request_id text, organization_id text, project_id text, key_id text,
        owner_id text, end_user text, gateway text, boot text, endpoint text, model_requested text, model text, tier text,
        stream boolean, cache text, status text, http_status integer, error_code text, admitted_at bigint, finished_at bigint,
        latency_us bigint, ttft_us bigint, prompt_tokens bigint, completion_tokens bigint, cached_prompt_tokens bigint,
        reasoning_tokens bigint, usage_source text, cost_nanousd bigint, cost_status text, upstream_cost_nanousd bigint,
        price_version text, hold_tokens bigint, hold_nanousd bigint, saved_tokens bigint, saved_nanousd bigint,
        tags jsonb, attempts jsonb, end_user_counted boolean, decision jsonb
    )
), inserted AS (
    INSERT INTO requests (
        event_id, period_day, period_month, request_id, organization_id, project_id, key_id, owner_id, end_user, gateway, boot,
        boot_number, endpoint, model_requested, model, tier, stream, cache, status, http_status, error_code, admitted_at,
        finished_at, latency_us, ttft_us, prompt_tokens, completion_tokens, cached_prompt_tokens, reasoning_tokens, usage_source,
        cost_nanousd, cost_status, cost_verified, upstream_cost_nanousd, price_version, hold_tokens, hold_nanousd, saved_tokens,
        saved_nanousd, tags, attempts, end_user_counted, decision
    )
    SELECT
        event_id, period_day, period_month, request_id, organization_id, project_id, key_id, owner_id, end_user, gateway, boot,
        number, endpoint, model_requested, coalesce(model, ''), coalesce(tier, ''), coalesce(stream, false),
        coalesce(cache, 'bypass'), status, http_status, error_code, to_timestamp(admitted_at / 1000.0),
        to_timestamp(finished_at / 1000.0), coalesce(latency_us, 0), ttft_us, coalesce(prompt_tokens, 0),
        coalesce(completion_tokens, 0), coalesce(cached_prompt_tokens, 0), coalesce(reasoning_tokens, 0),
        coalesce(usage_source, 'none'), coalesce(cost_nanousd, 0), coalesce(cost_status, 'none'), verified,
        upstream_cost_nanousd, coalesce(price_version, ''), coalesce(hold_tokens, 0), coalesce(hold_nanousd, 0),
        coalesce(saved_tokens, 0), coalesce(saved_nanousd, 0), coalesce(tags, '{}'), coalesce(attempts, '[]'),
        coalesce(end_user_counted, false), coalesce(decision, '{}')
    FROM incoming i LEFT JOIN pruned_projects d USING (project_id)
    WHERE i.period_day >= coalesce(greatest((SELECT raw_from FROM dropped_days), d.raw_from), '-infinity')
        OR NOT EXISTS (SELECT FROM boots b WHERE b.boot = i.boot AND b.received @> i.number)
    ORDER BY event_id
    ON CONFLICT DO NOTHING
    RETURNING *
), daily AS (
    INSERT INTO daily_usage AS d (
        day, project_id, key_id, model, organization_id, requests, errors, cache_hits, prompt_tokens, completion_tokens,
        cached_prompt_tokens, reasoning_tokens, cost_nanousd, saved_tokens, saved_nanousd, estimated, unpriced
    )
    SELECT
        period_day, project_id, key_id, model, min(organization_id), count(*),
        count(*) FILTER (WHERE status NOT IN ('ok', 'client_closed')), count(*) FILTER (WHERE cache = 'hit'),
        sum(prompt_tokens), sum(completion_tokens), sum(cached_prompt_tokens), sum(reasoning_tokens), sum(cost_nanousd),
        sum(saved_tokens), sum(saved_nanousd), count(*) FILTER (WHERE cost_status = 'estimated'),
        count(*) FILTER (WHERE cost_status = 'unpriced')
    FROM inserted
    GROUP BY project_id, period_day, key_id, model
    ORDER BY project_id, period_day, key_id, model
    ON CONFLICT (project_id, day, key_id, model) DO UPDATE SET
        requests = d.requests + excluded.requests, errors = d.errors + excluded.errors,
        cache_hits = d.cache_hits + excluded.cache_hits, prompt_tokens = d.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = d.completion_tokens + excluded.completion_tokens,
        cached_prompt_tokens = d.cached_prompt_tokens + excluded.cached_prompt_tokens,
        reasoning_tokens = d.reasoning_tokens + excluded.reasoning_tokens, cost_nanousd = d.cost_nanousd + excluded.cost_nanousd,
        saved_tokens = d.saved_tokens + excluded.saved_tokens, saved_nanousd = d.saved_nanousd + excluded.saved_nanousd,
        estimated = d.estimated + excluded.estimated, unpriced = d.unpriced + excluded.unpriced
), measured AS (
    INSERT INTO durations AS d (day, project_id, metric, bucket, observations)
    SELECT r.period_day, r.project_id, m.metric, m.bucket, count(*)
    FROM inserted r
    -- The same event may have come twice in this batch: its buckets are taken once.
    JOIN (SELECT DISTINCT ON (event_id) event_id, latency_bucket, ttft_bucket FROM incoming ORDER BY event_id) i
        ON i.event_id = r.event_id,
    LATERAL (VALUES ('latency', i.latency_bucket), ('ttft', i.ttft_bucket)) AS m(metric, bucket)
    WHERE m.bucket IS NOT NULL
    GROUP BY r.project_id, r.period_day, m.metric, m.bucket
    ORDER BY r.project_id, r.period_day, m.metric, m.bucket
    ON CONFLICT (project_id, day, metric, bucket) DO UPDATE SET observations = d.observations + excluded.observations
), counted AS (
    SELECT s.scope, s.scope_id, p.period, r.boot, r.organization_id, s.project_id,
        sum(r.prompt_tokens + r.completion_tokens) AS tokens, sum(r.cost_nanousd) AS nanousd
    FROM inserted r,
    LATERAL (VALUES
        ('organization', r.organization_id, NULL), ('project', r.project_id, r.project_id), ('key', r.key_id, r.project_id),
        ('member', r.organization_id || '/' || r.owner_id, NULL),
        ('end_user', CASE WHEN r.end_user_counted THEN r.project_id || '/' || r.end_user END, r.project_id)
    ) AS s(scope, scope_id, project_id),
    LATERAL (VALUES (r.period_month), (r.period_day::text)) AS p(period)
    WHERE s.scope_id IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6
), spent AS (
    INSERT INTO ledger AS l (scope, scope_id, period, spent_tokens, spent_nanousd, organization_id, project_id)
    SELECT scope, scope_id, period, sum(tokens), sum(nanousd), min(organization_id), min(project_id)
    FROM counted
    GROUP BY scope, scope_id, period
    ORDER BY scope, scope_id, period
    ON CONFLICT (scope, scope_id, period) DO UPDATE SET
        spent_tokens = l.spent_tokens + excluded.spent_tokens, spent_nanousd = l.spent_nanousd + excluded.spent_nanousd,
        organization_id = excluded.organization_id, project_id = excluded.project_id, changed_at = now()
    RETURNING scope, scope_id, period
), spent_by_boot AS (
    INSERT INTO boot_spend AS b (scope, scope_id, period, boot, tokens, nanousd)
    SELECT scope, scope_id, period, boot, sum(tokens), sum(nanousd)
    FROM counted
    GROUP BY scope, scope_id, period, boot
    ORDER BY scope, scope_id, period, boot
    ON CONFLICT (scope, scope_id, period, boot) DO UPDATE SET
        tokens = b.tokens + excluded.tokens, nanousd = b.nanousd + excluded.nanousd
)
SELECT
    (SELECT count(*) FROM inserted),
    (SELECT count(*) FROM inserted WHERE cost_verified = false),
    (SELECT coalesce(jsonb_agg(jsonb_build_array(scope, scope_id, period)), '[]') FROM spent)
"""


@dataclass(frozen=True, slots=True)
class Booked:
    """What a batch changed: rows inserted, rows whose cost disagrees with the price book, scopes and periods spent in."""

    inserted: int
    disagreeing: int
    touched: frozenset[Scope]


async def book(connection: AsyncConnection, rows: Sequence[SettledRow]) -> Booked:
    """Book rows inside the caller's transaction; what is already there changes nothing."""
    if not rows:
        return Booked(0, 0, frozenset())
    await wait_for_pruning(connection)
    cursor = await connection.execute(BOOK, {"rows": msgspec.json.encode(rows).decode()})
    found = await cursor.fetchone()
    if found is None:
        raise RuntimeError("the booking statement always answers one row")
    return Booked(found[0], found[1], frozenset((scope, scope_id, period) for scope, scope_id, period in found[2]))
