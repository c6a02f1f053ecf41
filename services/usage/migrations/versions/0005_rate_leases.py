"""Leases on limits per minute and on concurrency, per boot."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

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
    PRIMARY KEY (scope, scope_id, boot)
) WITH (fillfactor = 50);
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE rate_leases")
