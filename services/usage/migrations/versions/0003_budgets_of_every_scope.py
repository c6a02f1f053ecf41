"""Ledger and grants of organizations, projects, keys, members and end users, by month and by day."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The limits in the ledger are those that gateways have told; projects and organizations have theirs from the directory. Its records are
# projected anew, whatever their version: what is there has been stored without its daily limits.
# Locks on everything that is booked into are short here: what was spent before is filled in by a migration of its own.
# When a row of the ledger changed is in a BRIN index, because each booking changes it: a b-tree would end updates in place.
TABLES = """
ALTER TABLE requests
    ADD COLUMN end_user_counted boolean NOT NULL DEFAULT false,
    ADD COLUMN decision jsonb NOT NULL DEFAULT '{}';
ALTER TABLE ledger
    ADD COLUMN organization_id text,
    ADD COLUMN project_id text,
    ADD COLUMN limit_version bigint,
    ADD COLUMN limit_tokens bigint,
    ADD COLUMN limit_nanousd bigint;
CREATE INDEX ledger_by_change ON ledger USING brin (changed_at) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX ledger_of_short_periods ON ledger (period) WHERE length(period) = 10 OR scope = 'end_user';
CREATE INDEX grants_by_boot ON grants (boot);
CREATE INDEX boot_spend_by_boot ON boot_spend (boot);
ALTER TABLE organizations
    ADD COLUMN limit_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN monthly_tokens bigint,
    ADD COLUMN monthly_cost_nanousd bigint,
    ADD COLUMN daily_tokens bigint,
    ADD COLUMN daily_cost_nanousd bigint,
    ADD COLUMN alert_percents integer[] NOT NULL DEFAULT '{}',
    ADD COLUMN earlier_time_zone text,
    ADD COLUMN time_zone_from timestamptz;
ALTER TABLE projects
    ADD COLUMN daily_tokens bigint,
    ADD COLUMN daily_cost_nanousd bigint,
    ADD COLUMN alert_percents integer[] NOT NULL DEFAULT '{}';
UPDATE organizations SET version = 0;
UPDATE projects SET version = 0;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DELETE FROM boot_spend WHERE scope <> 'project' OR length(period) <> 7")
    op.execute("DELETE FROM grants WHERE scope <> 'project' OR length(period) <> 7")
    op.execute("ALTER TABLE requests DROP COLUMN end_user_counted, DROP COLUMN decision")
    op.execute("DROP INDEX ledger_by_change, ledger_of_short_periods, grants_by_boot, boot_spend_by_boot")
    op.execute(
        "ALTER TABLE ledger DROP COLUMN organization_id, DROP COLUMN project_id, DROP COLUMN limit_version, "
        "DROP COLUMN limit_tokens, DROP COLUMN limit_nanousd"
    )
    op.execute(
        "ALTER TABLE organizations DROP COLUMN limit_version, DROP COLUMN monthly_tokens, DROP COLUMN monthly_cost_nanousd, "
        "DROP COLUMN daily_tokens, DROP COLUMN daily_cost_nanousd, DROP COLUMN alert_percents, "
        "DROP COLUMN earlier_time_zone, DROP COLUMN time_zone_from"
    )
    op.execute("ALTER TABLE projects DROP COLUMN daily_tokens, DROP COLUMN daily_cost_nanousd, DROP COLUMN alert_percents")
