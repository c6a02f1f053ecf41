"""Raw requests in day partitions, aggregates, ledger, receipts, grants, and the projected directory."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE requests (
    event_id uuid NOT NULL,
    period_day date NOT NULL,
    period_month text NOT NULL,
    request_id text NOT NULL,
    organization_id text NOT NULL,
    project_id text NOT NULL,
    key_id text NOT NULL,
    owner_id text,
    end_user text,
    gateway text NOT NULL,
    boot text NOT NULL,
    boot_number bigint NOT NULL,
    endpoint text NOT NULL,
    model_requested text NOT NULL,
    model text NOT NULL,
    tier text NOT NULL,
    stream boolean NOT NULL,
    cache text NOT NULL,
    status text NOT NULL,
    http_status integer NOT NULL,
    error_code text,
    admitted_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    latency_us bigint NOT NULL,
    ttft_us bigint,
    prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    cached_prompt_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    usage_source text NOT NULL,
    cost_nanousd bigint NOT NULL,
    cost_status text NOT NULL,
    cost_verified boolean,
    upstream_cost_nanousd bigint,
    price_version text NOT NULL,
    hold_tokens bigint NOT NULL,
    hold_nanousd bigint NOT NULL,
    saved_tokens bigint NOT NULL,
    saved_nanousd bigint NOT NULL,
    tags jsonb NOT NULL,
    attempts jsonb NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, period_day)
) PARTITION BY RANGE (period_day);
CREATE INDEX requests_by_project ON requests (project_id, period_day, event_id);
CREATE INDEX requests_by_request_id ON requests (project_id, request_id);
-- Quarantine: events too early or too late for a partition of their own.
CREATE TABLE requests_default PARTITION OF requests DEFAULT;

CREATE TABLE daily_usage (
    day date NOT NULL,
    project_id text NOT NULL,
    key_id text NOT NULL,
    model text NOT NULL,
    organization_id text NOT NULL,
    requests bigint NOT NULL,
    errors bigint NOT NULL,
    cache_hits bigint NOT NULL,
    prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    cached_prompt_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    cost_nanousd bigint NOT NULL,
    saved_tokens bigint NOT NULL,
    saved_nanousd bigint NOT NULL,
    estimated bigint NOT NULL,
    unpriced bigint NOT NULL,
    PRIMARY KEY (project_id, day, key_id, model)
);

CREATE TABLE durations (
    day date NOT NULL,
    project_id text NOT NULL,
    metric text NOT NULL CHECK (metric IN ('latency', 'ttft')),
    bucket integer NOT NULL,
    observations bigint NOT NULL,
    PRIMARY KEY (project_id, day, metric, bucket)
);

CREATE TABLE ledger (
    scope text NOT NULL,
    scope_id text NOT NULL,
    period text NOT NULL,
    spent_tokens bigint NOT NULL DEFAULT 0,
    spent_nanousd bigint NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, scope_id, period)
) WITH (fillfactor = 50);

CREATE TABLE boot_spend (
    scope text NOT NULL,
    scope_id text NOT NULL,
    period text NOT NULL,
    boot text NOT NULL,
    tokens bigint NOT NULL,
    nanousd bigint NOT NULL,
    PRIMARY KEY (scope, scope_id, period, boot)
) WITH (fillfactor = 50);

-- `contiguous` is the last number before the first one that is missing; a boot is over once that reaches its close number,
-- or when an operator has released it.
CREATE TABLE boots (
    boot text PRIMARY KEY,
    gateway text NOT NULL,
    received int8multirange NOT NULL,
    close_at bigint,
    released_at timestamptz,
    contiguous bigint NOT NULL GENERATED ALWAYS AS (lower('{[1,)}'::int8multirange - received) - 1) STORED,
    closed boolean NOT NULL GENERATED ALWAYS AS (
        released_at IS NOT NULL OR coalesce(lower('{[1,)}'::int8multirange - received) - 1 >= close_at, false)
    ) STORED,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE INDEX boots_by_last_seen ON boots (last_seen);

-- NULL granted = the unit had no limit when the boot last asked.
CREATE TABLE grants (
    scope text NOT NULL,
    scope_id text NOT NULL,
    period text NOT NULL,
    boot text NOT NULL,
    gateway text NOT NULL,
    granted_tokens bigint,
    granted_nanousd bigint,
    ask_seq bigint NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, scope_id, period, boot)
) WITH (fillfactor = 50);

CREATE TABLE organizations (
    organization_id text PRIMARY KEY,
    version bigint NOT NULL,
    status text NOT NULL,
    name text NOT NULL,
    time_zone text NOT NULL
);

CREATE TABLE projects (
    project_id text PRIMARY KEY,
    organization_id text NOT NULL,
    version bigint NOT NULL,
    status text NOT NULL,
    name text NOT NULL,
    limit_version bigint NOT NULL,
    monthly_tokens bigint,
    monthly_cost_nanousd bigint
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute(
        "DROP TABLE projects, organizations, grants, boots, boot_spend, ledger, durations, daily_usage, requests_default, requests"
    )
