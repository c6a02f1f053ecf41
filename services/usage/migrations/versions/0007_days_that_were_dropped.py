"""Up to which day the raw requests have been dropped, whatever the retention is set to afterwards."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# What was dropped so far is not recorded anywhere: everything before the oldest day that is left may have been. For such a day the
# receipts decide whether an event is news, and they are right where nothing has been dropped, too. May be run again: an operator who goes
# back to have 0006 fill in anew passes here as well.
TABLE = """
CREATE TABLE IF NOT EXISTS dropped_days (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    raw_from date NOT NULL
);
INSERT INTO dropped_days (raw_from)
SELECT min(to_date(right(c.relname, 8), 'YYYYMMDD'))
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'requests'::regclass AND c.relname ~ '^requests_[0-9]{8}$'
HAVING count(*) > 0
ON CONFLICT (only_row) DO UPDATE SET raw_from = greatest(dropped_days.raw_from, excluded.raw_from);
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE dropped_days")
