"""The ledger of organizations, projects by day, keys and members for what was booked before it was kept."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Only periods that are open or have ended within 62 days: of the others nothing is asked any more. Organizations, projects and keys from
# the daily sums, which outlive the raw requests; members from those, because nothing else knows whose a key was, so that what
# retention has dropped is missing there. What the ledger has already (projects by month) stays as it is.
# Shares of boots are not filled in: they matter beside grants, and none has been given on these scopes yet.
SPENT = """
WITH bounds AS (
    SELECT (now() AT TIME ZONE 'UTC')::date - 62 AS first_day
), daily AS (
    SELECT day, organization_id, project_id, key_id, sum(prompt_tokens + completion_tokens) AS tokens, sum(cost_nanousd) AS nanousd
    FROM daily_usage, bounds
    WHERE day >= date_trunc('month', first_day)::date
    GROUP BY 1, 2, 3, 4
), counted AS (
    SELECT s.scope, s.scope_id, d.day, d.organization_id, s.project_id, d.tokens, d.nanousd
    FROM daily d,
    LATERAL (VALUES
        ('organization', d.organization_id, NULL), ('project', d.project_id, d.project_id), ('key', d.key_id, d.project_id)
    ) AS s(scope, scope_id, project_id)
    UNION ALL
    SELECT 'member', r.organization_id || '/' || r.owner_id, r.period_day, r.organization_id, NULL,
        sum(r.prompt_tokens + r.completion_tokens), sum(r.cost_nanousd)
    FROM requests r, bounds
    WHERE r.owner_id IS NOT NULL AND r.period_day >= date_trunc('month', first_day)::date
    GROUP BY r.organization_id, r.owner_id, r.period_day
)
INSERT INTO ledger (scope, scope_id, period, spent_tokens, spent_nanousd, organization_id, project_id)
SELECT scope, scope_id, p.period, sum(tokens), sum(nanousd), min(organization_id), min(project_id)
FROM counted, bounds,
LATERAL (VALUES (to_char(day, 'YYYY-MM'), true), (day::text, day >= first_day)) AS p(period, kept)
WHERE p.kept
GROUP BY scope, scope_id, p.period
ORDER BY scope, scope_id, p.period
ON CONFLICT (scope, scope_id, period) DO UPDATE SET organization_id = excluded.organization_id, project_id = excluded.project_id
"""


def upgrade() -> None:
    op.execute(SPENT)


def downgrade() -> None:
    op.execute("DELETE FROM ledger WHERE scope <> 'project' OR length(period) <> 7")
