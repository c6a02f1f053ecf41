"""Ledger and grants of organizations, projects, keys, members and end users, by month and by day."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The limits in the ledger are those that gateways have told; projects and organizations have theirs from the directory. Its records are
# projected anew, whatever their version: what is there has been stored without its daily limits.
TABLES = """
ALTER TABLE requests ADD COLUMN end_user_counted boolean NOT NULL DEFAULT false;
ALTER TABLE requests ADD COLUMN decision jsonb NOT NULL DEFAULT '{}';
ALTER TABLE ledger
    ADD COLUMN organization_id text,
    ADD COLUMN project_id text,
    ADD COLUMN limit_version bigint,
    ADD COLUMN limit_tokens bigint,
    ADD COLUMN limit_nanousd bigint;
CREATE INDEX ledger_by_change ON ledger (changed_at);
ALTER TABLE organizations
    ADD COLUMN limit_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN monthly_tokens bigint,
    ADD COLUMN monthly_cost_nanousd bigint,
    ADD COLUMN daily_tokens bigint,
    ADD COLUMN daily_cost_nanousd bigint,
    ADD COLUMN alert_percents integer[] NOT NULL DEFAULT '{}';
ALTER TABLE projects
    ADD COLUMN daily_tokens bigint,
    ADD COLUMN daily_cost_nanousd bigint,
    ADD COLUMN alert_percents integer[] NOT NULL DEFAULT '{}';
UPDATE organizations SET version = 0;
UPDATE projects SET version = 0;
"""

# What was booked before counts in the budgets that are new.
SPENT = """
WITH counted AS (
    SELECT s.scope, s.scope_id, p.period, r.boot, r.organization_id, r.project_id,
        r.prompt_tokens + r.completion_tokens AS tokens, r.cost_nanousd
    FROM requests r,
    LATERAL (VALUES
        ('organization', r.organization_id), ('project', r.project_id), ('key', r.key_id),
        ('member', r.organization_id || '/' || r.owner_id)
    ) AS s(scope, scope_id),
    LATERAL (VALUES (r.period_month), (r.period_day::text)) AS p(period)
    WHERE s.scope_id IS NOT NULL
), by_boot AS (
    INSERT INTO boot_spend (scope, scope_id, period, boot, tokens, nanousd)
    SELECT scope, scope_id, period, boot, sum(tokens), sum(cost_nanousd) FROM counted GROUP BY 1, 2, 3, 4
    ON CONFLICT DO NOTHING
)
INSERT INTO ledger (scope, scope_id, period, spent_tokens, spent_nanousd, organization_id, project_id)
SELECT scope, scope_id, period, sum(tokens), sum(cost_nanousd), min(organization_id),
    CASE WHEN scope IN ('project', 'key') THEN min(project_id) END
FROM counted GROUP BY 1, 2, 3
ON CONFLICT (scope, scope_id, period) DO UPDATE SET organization_id = excluded.organization_id, project_id = excluded.project_id
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(SPENT)


def downgrade() -> None:
    op.execute("DELETE FROM ledger WHERE scope <> 'project' OR length(period) <> 7")
    op.execute("DELETE FROM boot_spend WHERE scope <> 'project' OR length(period) <> 7")
    op.execute("DELETE FROM grants WHERE scope <> 'project' OR length(period) <> 7")
    op.execute("ALTER TABLE requests DROP COLUMN end_user_counted, DROP COLUMN decision")
    op.execute("DROP INDEX ledger_by_change")
    op.execute(
        "ALTER TABLE ledger DROP COLUMN organization_id, DROP COLUMN project_id, DROP COLUMN limit_version, "
        "DROP COLUMN limit_tokens, DROP COLUMN limit_nanousd"
    )
    op.execute(
        "ALTER TABLE organizations DROP COLUMN limit_version, DROP COLUMN monthly_tokens, DROP COLUMN monthly_cost_nanousd, "
        "DROP COLUMN daily_tokens, DROP COLUMN daily_cost_nanousd, DROP COLUMN alert_percents"
    )
    op.execute("ALTER TABLE projects DROP COLUMN daily_tokens, DROP COLUMN daily_cost_nanousd, DROP COLUMN alert_percents")
