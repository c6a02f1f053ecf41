"""What counts no more goes by itself, in pieces, one job whatever becomes of the others; all else stays."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.contracts.identifiers import uuid7
from tests.days import today
from tests.integration.usage.conftest import Books, UsageProcess, eventually
from tests.integration.usage.gateway_side import GatewaySide, make_event
from tests.integration.usage.test_rates import ask, shape
from usage.outbound.database import Database
from usage.use_cases.keep_house import KeepHouse
from usage.use_cases.keep_partitions import Partitions

NOTHING = {"grants_of_closed_boots": 0, "shares_of_closed_boots": 0, "periods": 0, "alerts": 0, "leases": 0}


@pytest.fixture
def still(usage: UsageProcess) -> UsageProcess:
    """The service, which has been at work and stands still now: nothing goes but by the test."""
    usage.stop()
    return usage


@pytest.fixture
async def its_database(still: UsageProcess) -> AsyncIterator[Database]:
    """What it works on."""
    database = Database(still.env["USAGE_DATABASE_URL"], still.env["USAGE_DATABASE_PASSWORD"])
    await database.open()
    yield database
    await database.close()


def prune(usage: UsageProcess, code: int = 0) -> dict[str, Any]:
    """What the command says."""
    done = usage.run("prune")
    assert done.returncode == code, done.stderr
    said = json.loads(done.stdout)
    return {name: said[name] for name in NOTHING}


def day(days_ago: int) -> str:
    return (today() - timedelta(days=days_ago)).isoformat()


def month(days_ago: int) -> str:
    return day(days_ago)[:7]


def budget(books: Books, scope: str, period: str, *boots: str, changed: str = "2 hours") -> None:
    """A budget that was spent from, and not just now; with a grant and a share of each of these boots."""
    name = (scope, "somebody", period)
    books.query(
        "INSERT INTO ledger (scope, scope_id, period, spent_tokens, changed_at) VALUES (%s, %s, %s, 5, now() - %s::interval)",
        *name,
        changed,
    )
    for boot in boots:
        books.query(
            "INSERT INTO boot_spend (scope, scope_id, period, boot, tokens, nanousd) VALUES (%s, %s, %s, %s, 5, 0)", *name, boot
        )
        books.query(
            "INSERT INTO grants (scope, scope_id, period, boot, gateway, granted_tokens, ask_seq) VALUES (%s, %s, %s, %s, 'g', 9, 1)",
            *name,
            boot,
        )


def boot_row(books: Books, boot: str, *, closed: bool, heard: str) -> None:
    books.query(
        "INSERT INTO boots (boot, gateway, received, released_at, last_seen) VALUES (%s, 'g', '{}', %s, now() - %s::interval)",
        boot,
        datetime.now(UTC) if closed else None,
        heard,
    )


def left(books: Books, table: str, column: str = "period") -> list[str]:
    return sorted(str(value) for (value,) in books.query(f"SELECT DISTINCT {column} FROM {table}"))  # noqa: S608 - names of this module


async def test_what_closed_boots_were_granted_goes_after_a_day(still: UsageProcess, books: Books) -> None:
    """Not what open boots hold, nor what belongs to one that was heard of since yesterday; the budget itself stays as it is."""
    boot_row(books, "gone", closed=True, heard="25 hours")
    boot_row(books, "lately", closed=True, heard="23 hours")
    boot_row(books, "open", closed=False, heard="25 hours")
    for scope in ("project", "key"):
        budget(books, scope, month(0), "gone", "lately", "open", "unheard")
    assert prune(still) == {**NOTHING, "grants_of_closed_boots": 2, "shares_of_closed_boots": 2}
    for table in ("grants", "boot_spend"):
        assert left(books, table, "boot") == ["lately", "open", "unheard"]
    assert books.query("SELECT sum(spent_tokens)::bigint FROM ledger") == [(10,)]
    assert left(books, "boots", "boot") == ["gone", "lately", "open"], "a boot that comes back is still known as closed"
    assert prune(still) == NOTHING


async def test_budgets_of_days_and_of_end_users_go_when_they_are_long_over(still: UsageProcess, books: Books) -> None:
    """With their grants and shares; months of others stay for ever, and what was changed just now stays for the moment."""
    for days_ago in (0, 62, 63, 90):
        budget(books, "key", day(days_ago), "b")
    budget(books, "project", month(200), "b")
    budget(books, "organization", day(64), changed="1 minute")
    for months_day in (0, 62, 93):
        budget(books, "end_user", month(months_day), "b")
    kept = sorted({day(0), day(62), month(0), month(62), month(200)})
    assert prune(still) == {**NOTHING, "periods": 3}
    assert left(books, "ledger") == sorted([*kept, day(64)])
    assert (left(books, "grants"), left(books, "boot_spend")) == (kept, kept)


async def test_news_of_a_budget_that_is_gone_is_booked(still: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """An event that comes later than any is expected counts in the sums, and its budget goes again."""
    project, boot = uuid7(), uuid7()
    budget(books, "project", day(70))
    assert prune(still)["periods"] == 1
    still.start()
    late = make_event(project, boot, period_day=day(70), period_month=month(70))
    await gateway.ship([late], boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 1", boot))
    assert books.query("SELECT spent_tokens FROM ledger WHERE (scope_id, period) = (%s, %s)", project, day(70)) == [(15,)]
    assert books.query("SELECT requests FROM daily_usage WHERE project_id = %s", project) == [(1,)]
    still.stop()
    books.query("UPDATE ledger SET changed_at = now() - interval '2 hours'")
    prune(still)
    assert left(books, "ledger") == [month(70)]


async def test_alerts_are_kept_for_400_days(still: UsageProcess, books: Books) -> None:
    """Older ones go, said or not."""
    for days_ago in (399, 401, 800):
        books.query(
            "INSERT INTO alerts (alert_id, kind, organization_id, scope, scope_id, period, unit, threshold, percent, limit_amount, "
            "used_amount, raised_at) VALUES (%s, 'threshold', 'o', 'key', 'k', %s, 'tokens', 50, 50, 10, 5, now() - %s::interval)",
            uuid7(),
            day(days_ago),
            f"{days_ago} days",
        )
    assert prune(still) == {**NOTHING, "alerts": 2}
    assert left(books, "alerts") == [day(399)]


async def test_leases_of_silent_boots_go(still: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """Once nothing of theirs can be in the minute any more."""
    key, silent, alive = uuid7(), uuid7(), uuid7()
    still.start()
    for boot in (silent, alive):
        await ask(gateway, boot, shape(key, 1, limit=10))
    still.stop()
    books.query("UPDATE rate_leases SET heard_at = heard_at - interval '66 seconds' WHERE boot = %s", silent)
    assert prune(still) == {**NOTHING, "leases": 1}
    assert left(books, "rate_leases", "boot") == [alive]


async def test_one_job_that_fails_keeps_none_of_the_others(still: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """Neither in the command, which says so and ends with 1, nor in the service."""
    books.query("ALTER TABLE pruned_projects RENAME TO elsewhere")
    budget(books, "key", day(90), "b")
    done = still.run("prune")
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert (said["deleted_rows"], said["periods"]) == (None, 1)
    assert "deleted_rows: not done" in done.stderr
    budget(books, "key", day(91), "b")
    await ask_and_age(still, gateway, books)
    still.start()
    await eventually(lambda: left(books, "ledger") == [] and left(books, "rate_leases", "boot") == [])
    assert still.stop() == 0


async def ask_and_age(still: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """Leave a lease behind that counts no more."""
    still.start()
    await ask(gateway, uuid7(), shape(uuid7(), 1, limit=10))
    still.stop()
    books.query("UPDATE rate_leases SET heard_at = heard_at - interval '66 seconds'")


async def test_much_goes_in_pieces_and_past_what_is_locked(its_database: Database, books: Books) -> None:
    """Each transaction and each run is bounded; nothing is waited for."""
    for days_ago in range(70, 90):
        budget(books, "key", day(days_ago))
    house = KeepHouse(its_database, Partitions(its_database, 90), rows_at_once=3, most_transactions=4)
    async with its_database.transaction() as other:
        await other.execute("SELECT 1 FROM ledger WHERE period = %s FOR UPDATE", (day(75),))
        assert [(await house.now())["periods"] for _ in range(3)] == [12, 7, 0]
    assert left(books, "ledger") == [day(75)]
