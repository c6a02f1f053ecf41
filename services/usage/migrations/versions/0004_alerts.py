"""Alerts: each threshold of a limit that spending has passed, and each overrun that is to be expected, once."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The limit is part of what makes an alert one: another limit can be passed anew.
TABLE = """
CREATE TABLE alerts (
    alert_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('threshold', 'forecast')),
    organization_id text NOT NULL,
    project_id text,
    scope text NOT NULL,
    scope_id text NOT NULL,
    period text NOT NULL,
    unit text NOT NULL CHECK (unit IN ('tokens', 'nanousd')),
    threshold integer NOT NULL,
    percent integer NOT NULL,
    limit_amount bigint NOT NULL,
    used_amount bigint NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    UNIQUE (scope, scope_id, period, unit, kind, threshold, limit_amount)
);
CREATE INDEX alerts_by_organization ON alerts (organization_id, alert_id);
CREATE INDEX alerts_by_project ON alerts (project_id, alert_id);
CREATE INDEX alerts_by_age ON alerts (raised_at);
CREATE INDEX alerts_unpublished ON alerts (alert_id) WHERE published_at IS NULL;
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE alerts")
