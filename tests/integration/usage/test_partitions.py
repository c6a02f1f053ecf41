"""Day partitions: made ahead, on demand for late events, dropped by age; quarantine for the rest. Money always counts."""

from datetime import timedelta

import psycopg

from common.contracts.identifiers import uuid7
from tests.days import today
from tests.integration.usage.conftest import Books, UsageProcess, eventually
from tests.integration.usage.gateway_side import GatewaySide, make_event
from usage.outbound.partitions import create_days


def on(days: int) -> dict[str, str]:
    """The periods of a day so many days from now."""
    day = (today() + timedelta(days=days)).isoformat()
    return {"period_day": day, "period_month": day[:7]}


def partition_of(books: Books, event_id: str) -> object:
    return books.one("SELECT tableoid::regclass::text FROM requests WHERE event_id = %s", event_id)


async def test_late_and_early_events_find_their_place(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """A week ahead is prepared; 20 days back gets a partition; 60 days back and 30 ahead go to quarantine, but are charged."""
    project, boot = uuid7(), uuid7()
    await eventually(lambda: books.query("SELECT to_regclass(%s)", f"requests_{today() + timedelta(days=7):%Y%m%d}") != [(None,)])
    events = [make_event(project, boot, **on(days)) for days in (0, -20, -60, 30)]
    await gateway.ship(events, boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 4", boot))
    places = [partition_of(books, event.event_id) for event in events]
    assert places == [
        f"requests_{today():%Y%m%d}",
        f"requests_{today() - timedelta(days=20):%Y%m%d}",
        "requests_default",
        "requests_default",
    ]
    assert books.one("SELECT sum(spent_tokens)::bigint FROM ledger WHERE scope_id = %s AND length(period) = 7", project) == 60
    periods = {
        str(period) for (period,) in books.query("SELECT period FROM ledger WHERE scope_id = %s AND length(period) = 7", project)
    }
    assert periods == {event.period_month for event in events}


async def test_old_days_are_dropped_and_never_charged_again(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """`prune` drops days past retention; aggregates and ledger stay, and a repeat of a dropped event changes nothing."""
    project, boot = uuid7(), uuid7()
    old, recent = make_event(project, boot, **on(-20)), make_event(project, boot, **on(-5))
    await gateway.ship([old, recent], boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 2", boot))
    usage.stop()
    usage.env["USAGE_RETENTION_DAYS"] = "10"
    done = usage.run("prune")
    assert done.returncode == 0
    assert (today() - timedelta(days=20)).isoformat() in done.stdout
    assert books.query("SELECT event_id::text FROM requests WHERE project_id = %s", project) == [(recent.event_id,)]
    usage.start()
    late = make_event(project, boot, **on(-20))
    await gateway.ship([old, recent, late], boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 3", boot))
    assert books.one("SELECT sum(spent_tokens)::bigint FROM ledger WHERE scope_id = %s AND length(period) = 7", project) == 45
    assert books.one("SELECT sum(requests)::bigint FROM daily_usage WHERE project_id = %s", project) == 3
    assert partition_of(books, late.event_id) == "requests_default"


async def test_what_was_dropped_is_remembered_when_the_retention_is_raised(
    usage: UsageProcess, gateway: GatewaySide, books: Books
) -> None:
    """The setting says that the day is kept, but its rows are gone: a repeat changes nothing, what is new is charged."""
    project, boot = uuid7(), uuid7()
    old = make_event(project, boot, **on(-20))
    await gateway.ship([old], boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 1", boot))
    usage.stop()
    kept_by_default = usage.env.get("USAGE_RETENTION_DAYS")
    usage.env["USAGE_RETENTION_DAYS"] = "10"
    assert usage.run("prune").returncode == 0
    usage.env["USAGE_RETENTION_DAYS"] = kept_by_default or "90"
    assert usage.run("prune").returncode == 0
    usage.start()
    late = make_event(project, boot, **on(-20))
    await gateway.ship([old, late, make_event(project, boot)], boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 3", boot))
    assert books.one("SELECT sum(spent_tokens)::bigint FROM ledger WHERE scope_id = %s AND length(period) = 7", project) == 45
    assert books.one("SELECT sum(requests)::bigint FROM daily_usage WHERE project_id = %s", project) == 3
    assert partition_of(books, late.event_id) == f"requests_{today() - timedelta(days=20):%Y%m%d}"


async def test_quarantined_rows_move_into_their_partition(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """A day that gets its partition later takes its rows along."""
    project, boot, day = uuid7(), uuid7(), today() + timedelta(days=9)
    event = make_event(project, boot, **on(9))
    await gateway.ship([event], boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 1", boot))
    assert partition_of(books, event.event_id) == "requests_default"
    async with await psycopg.AsyncConnection.connect(books.conninfo) as connection:
        assert await create_days(connection, [day]) == [day]
    assert partition_of(books, event.event_id) == f"requests_{day:%Y%m%d}"


async def test_watermarks_stop_at_holes(usage: UsageProcess, gateway: GatewaySide) -> None:
    """Only the contiguous prefix is said; it jumps when the hole is filled, and says closed at the end."""
    project, boot = uuid7(), uuid7()
    said = await gateway.hear_watermarks(boot)
    await gateway.ship([make_event(project, boot) for _ in range(2)], boot=boot, first=4)
    await gateway.ship([make_event(project, boot) for _ in range(2)], boot=boot, first=1)
    await eventually(lambda: said and said[-1].contiguous == 2)
    await gateway.ship([], boot=boot, first=6, last=5, close=5)
    assert not said[-1].closed
    await gateway.ship([make_event(project, boot)], boot=boot, first=3)
    await eventually(lambda: said[-1].contiguous == 5 and said[-1].closed)
    assert [mark.contiguous for mark in said] == sorted(mark.contiguous for mark in said)


async def test_a_boot_that_is_present_and_unknown_is_told_so(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """The database has been restored to a state before the boot: it hears that nothing of it is there, though it ships nothing more."""
    project, boot = uuid7(), uuid7()
    said = await gateway.hear_watermarks(boot)
    await gateway.ship([make_event(project, boot)], boot=boot, first=1)
    await eventually(lambda: said and said[-1].contiguous == 1)
    books.query("DELETE FROM boots WHERE boot = %s", boot)
    count = len(said)

    async def present() -> bool:
        await gateway.present(boot)
        return len(said) > count

    await eventually(present)
    assert (said[-1].contiguous, said[-1].closed) == (0, False)
