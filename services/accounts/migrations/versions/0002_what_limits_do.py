"""What a reached limit does, and what becomes of models without a price."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ENFORCEMENT = "enforcement IN ('hard', 'soft', 'shadow')"


def upgrade() -> None:
    for table in ("organizations", "projects"):
        op.add_column(table, sa.Column("enforcement", sa.Text(), server_default="hard", nullable=False))
        op.create_check_constraint(f"ck_{table}_enforcement", table, ENFORCEMENT)
    op.add_column("projects", sa.Column("on_unpriced", sa.Text(), server_default="deny", nullable=False))
    op.create_check_constraint("ck_projects_on_unpriced", "projects", "on_unpriced IN ('deny', 'estimate', 'allow')")


def downgrade() -> None:
    op.drop_column("projects", "on_unpriced")
    for table in ("organizations", "projects"):
        op.drop_column(table, "enforcement")
