"""Retention of a project: its old raw requests go, its money stays, and nothing is charged twice."""

import json
from datetime import timedelta

from common.contracts.events import RequestSettled
from common.contracts.identifiers import uuid7
from tests.days import today
from tests.integration.usage.conftest import Books, UsageProcess, eventually
from tests.integration.usage.gateway_side import GatewaySide, make_event
from usage.outbound.database import Database
from usage.use_cases.prune_projects import prune_projects


def event_of(project: str, boot: str, days_ago: int) -> RequestSettled:
    day = (today() - timedelta(days=days_ago)).isoformat()
    return make_event(project, boot, period_day=day, period_month=day[:7])


async def keep(gateway: GatewaySide, books: Books, project: str, days: int | None, *, version: int = 1) -> None:
    """Announce how long the project's rows are kept, and wait until usage knows."""
    await gateway.put_project(project, retention_days=days, version=version)
    sql = "SELECT 1 FROM projects WHERE project_id = %s AND version = %s AND retention_days IS NOT DISTINCT FROM %s"
    await eventually(lambda: books.query(sql, project, version, days))


async def book(gateway: GatewaySide, books: Books, boot: str, events: list[RequestSettled], last: int) -> None:
    """Ship events up to this number and wait for them; they look as if booked a while ago."""
    await gateway.ship(events, boot=boot, first=last - len(events) + 1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = %s", boot, last))
    books.query("UPDATE requests SET recorded_at = now() - interval '1 hour' WHERE boot = %s", boot)


def raw(books: Books, project: str) -> set[str]:
    return {str(event_id) for (event_id,) in books.query("SELECT event_id FROM requests WHERE project_id = %s", project)}


def counted(books: Books, project: str) -> tuple[object, object]:
    return (
        books.one("SELECT sum(requests)::bigint FROM daily_usage WHERE project_id = %s", project),
        books.one("SELECT sum(spent_tokens)::bigint FROM ledger WHERE scope_id = %s AND length(period) = 7", project),
    )


def prune(usage: UsageProcess) -> int:
    done = usage.run("prune")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["deleted_rows"]


async def test_old_rows_go_and_what_was_counted_stays(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """Days before the project's retention go, the first kept day and other projects do not; then there is nothing left to do."""
    short, other, boot = uuid7(), uuid7(), uuid7()
    await keep(gateway, books, short, 10)
    await keep(gateway, books, other, None)
    gone = [event_of(short, boot, days) for days in (11, 20, 60)]
    kept = [event_of(short, boot, days) for days in (0, 10)]
    foreign = [event_of(other, boot, 20)]
    await book(gateway, books, boot, [*gone, *kept, *foreign], 6)
    assert prune(usage) == 3
    assert raw(books, short) == {event.event_id for event in kept}
    assert raw(books, other) == {foreign[0].event_id}
    assert counted(books, short) == (5, 75)
    assert prune(usage) == 0


async def test_repeats_of_deleted_rows_are_not_charged_again(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """Not within the project's retention of then, nor when it has been made longer; late news is charged and deleted next time."""
    project, boot = uuid7(), uuid7()
    await keep(gateway, books, project, 10)
    old = event_of(project, boot, 20)
    await book(gateway, books, boot, [old], 1)
    assert prune(usage) == 1
    late = event_of(project, boot, 20)
    await book(gateway, books, boot, [old, late], 2)
    assert counted(books, project) == (2, 30)
    assert raw(books, project) == {late.event_id}
    assert prune(usage) == 1
    await keep(gateway, books, project, None, version=2)
    await book(gateway, books, boot, [old, late, event_of(project, boot, 20)], 3)
    assert counted(books, project) == (3, 45)
    assert prune(usage) == 0
    assert len(raw(books, project)) == 1


async def test_what_was_booked_just_now_waits(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """A booking of the same event may still be under way: the row goes with a later pruning."""
    project, boot = uuid7(), uuid7()
    await keep(gateway, books, project, 10)
    await book(gateway, books, boot, [event_of(project, boot, 20)], 1)
    books.query("UPDATE requests SET recorded_at = now() + interval '1 hour' WHERE boot = %s", boot)
    assert prune(usage) == 0
    assert len(raw(books, project)) == 1


async def test_many_rows_go_in_pieces(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """Each transaction and each run is bounded; the next run does the rest."""
    project, boot = uuid7(), uuid7()
    await keep(gateway, books, project, 10)
    await book(gateway, books, boot, [event_of(project, boot, 20 + number % 2) for number in range(30)], 30)
    usage.stop()
    database = Database(usage.env["USAGE_DATABASE_URL"], usage.env["USAGE_DATABASE_PASSWORD"])
    await database.open()
    try:
        deleted = [await prune_projects(database, today(), 90, rows_at_once=4, most_transactions=5) for _ in range(3)]
    finally:
        await database.close()
    assert deleted[0] <= 20
    assert (sum(deleted), raw(books, project)) == (30, set())


async def test_the_service_prunes_by_itself(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """At its start, and every hour."""
    project, boot = uuid7(), uuid7()
    await keep(gateway, books, project, 1)
    await book(gateway, books, boot, [event_of(project, boot, 5)], 1)
    usage.stop()
    usage.start()
    await eventually(lambda: raw(books, project) == set())
    assert counted(books, project) == (1, 15)
