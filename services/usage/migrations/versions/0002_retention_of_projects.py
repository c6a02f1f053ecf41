"""How long each project's raw requests are kept, and from which day on they are all there."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The records are projected anew, whatever their version: what is there has been stored without its retention.
TABLES = """
ALTER TABLE projects ADD COLUMN retention_days integer;
UPDATE projects SET version = 0;

-- Raw requests of earlier days may have been deleted: whether such an event is news, only the receipts know.
CREATE TABLE pruned_projects (
    project_id text PRIMARY KEY,
    raw_from date NOT NULL
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE pruned_projects; ALTER TABLE projects DROP COLUMN retention_days")
