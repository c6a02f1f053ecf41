"""Leases on limits per minute and on concurrency, per boot."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Each ask changes `heard_at`: the index that finds the silent is on its minute, so that the updates in between are in place.
TABLE = """
CREATE TABLE rate_leases (
    scope text NOT NULL,
    scope_id text NOT NULL,
    boot text NOT NULL,
    ask_seq bigint NOT NULL,
    limit_version bigint NOT NULL,
    limit_requests bigint,
    limit_tokens bigint,
    limit_slots bigint,
    used_requests bigint NOT NULL,
    used_tokens bigint NOT NULL,
    used_slots bigint NOT NULL,
    lease_requests bigint NOT NULL,
    lease_tokens bigint NOT NULL,
    lease_slots bigint NOT NULL,
    heard_at timestamptz NOT NULL,
    heard_minute timestamptz NOT NULL GENERATED ALWAYS AS (
        date_bin('1 minute', heard_at, timestamptz '2000-01-01 00:00:00+00')
    ) STORED,
    PRIMARY KEY (scope, scope_id, boot)
) WITH (fillfactor = 50);
CREATE INDEX rate_leases_by_minute ON rate_leases (heard_minute);
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE rate_leases")
