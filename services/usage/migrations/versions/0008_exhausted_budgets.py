"""Alerts of a third kind: a budget refuses, for what is left of it is too little."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KINDS = """
ALTER TABLE alerts
    DROP CONSTRAINT alerts_kind_check,
    ADD CONSTRAINT alerts_kind_check CHECK (kind IN ({kinds}));
"""


def upgrade() -> None:
    op.execute(KINDS.format(kinds="'threshold', 'forecast', 'exhausted'"))


def downgrade() -> None:
    op.execute("DELETE FROM alerts WHERE kind = 'exhausted'")
    op.execute(KINDS.format(kinds="'threshold', 'forecast'"))
