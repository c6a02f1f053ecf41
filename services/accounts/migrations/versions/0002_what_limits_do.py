"""What a reached limit does, what becomes of models without a price, and from when another time zone counts."""

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
    op.add_column("organizations", sa.Column("earlier_time_zone", sa.Text()))
    op.add_column("organizations", sa.Column("time_zone_from", sa.DateTime(timezone=True)))
    op.create_check_constraint("ck_projects_on_unpriced", "projects", "on_unpriced IN ('deny', 'estimate', 'allow')")


def downgrade() -> None:
    op.drop_column("projects", "on_unpriced")
    op.drop_column("organizations", "time_zone_from")
    op.drop_column("organizations", "earlier_time_zone")
    for table in ("organizations", "projects"):
        op.drop_column(table, "enforcement")
