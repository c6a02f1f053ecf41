"""What is written all the time is updated in place: no index has to follow."""

import pytest

from common.contracts.identifiers import uuid7
from tests.integration.usage.conftest import Books, UsageProcess, eventually
from tests.integration.usage.gateway_side import GatewaySide, make_event
from tests.integration.usage.test_rates import ask, shape

TIMES = 20


def updates(books: Books, table: str) -> tuple[int, int]:
    """How many rows of a table were updated, and how many of those in place. The server tells it a little later."""
    (found,) = books.query("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = %s", table)
    return int(str(found[0])), int(str(found[1]))


async def test_bookings_update_the_ledger_in_place(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """Of each scope and period there is one row, which every batch changes."""
    if int(str(books.one("SHOW server_version_num"))) < 160_000:
        pytest.skip("PostgreSQL updates rows in place beside a BRIN index from 16 on")
    project, boot = uuid7(), uuid7()
    for number in range(1, TIMES + 1):
        await gateway.ship([make_event(project, boot)], boot=boot, first=number)
        await eventually(
            lambda number=number: books.query("SELECT 1 FROM boots WHERE (boot, contiguous) = (%s, %s)", boot, number)
        )
    await eventually(lambda: updates(books, "ledger")[0] >= TIMES)
    all_updates, in_place = updates(books, "ledger")
    assert in_place > all_updates / 2


async def test_asks_for_leases_update_their_row_in_place(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """But for the first of each minute."""
    key, boot = uuid7(), uuid7()
    for seq in range(1, TIMES + 1):
        await ask(gateway, boot, shape(key, seq, limit=10))
    await eventually(lambda: updates(books, "rate_leases")[0] >= TIMES - 1)
    all_updates, in_place = updates(books, "rate_leases")
    assert in_place > all_updates / 2
