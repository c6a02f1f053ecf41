"""Grants over the bus: never more than the limit, back when a boot ends, nothing said that is not committed."""

import asyncio
from collections.abc import Callable

import psycopg
import pytest

from common.contracts.directory import Limits
from common.contracts.grants import Recall, ScopeAsk
from common.contracts.identifiers import uuid7
from tests.days import this_day, this_month
from tests.integration.usage.conftest import Books, UsageProcess, eventually
from tests.integration.usage.gateway_side import GatewaySide, make_event


async def test_fifty_boots_at_once_never_get_more_than_the_limit(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """Everybody asks for more than a fair share; what is granted, answered and stored stays within the limit."""
    project = uuid7()
    await gateway.put_project(project, tokens=10_000, cost=1_000_000)
    boots = [uuid7() for _ in range(50)]
    answers = await asyncio.gather(
        *(
            gateway.ask_tokens(boot, project, seq, need_tokens=300, want_tokens=900, need_nanousd=10, want_nanousd=20)
            for seq in (1, 2)
            for boot in boots
        )
    )
    stored = books.query(
        "SELECT sum(granted_tokens)::bigint, sum(granted_nanousd)::bigint FROM grants WHERE scope_id = %s", project
    )[0]
    assert stored[0] <= 10_000
    assert stored[1] <= 1_000_000
    assert {answer.status for answer in answers} == {"granted", "recalling"}
    assert all(answer.held_tokens + answer.used_tokens <= 10_000 for answer in answers)
    best = {boot: max(a.granted_tokens or 0 for a in answers[i::50]) for i, boot in enumerate(boots)}
    assert sum(best.values()) == stored[0]
    assert stored[0] > 10_000 - 300, "what fits is not refused"


async def test_the_first_asks_of_a_fresh_budget_get_no_more_than_there_is(
    usage: UsageProcess, gateway: GatewaySide, books: Books
) -> None:
    """While the row of the ledger is being made by one ask, another must not decide on it without its lock."""
    projects, boots = [uuid7() for _ in range(60)], [uuid7() for _ in range(8)]
    for project in projects:
        await gateway.put_project(project, tokens=300)
    await eventually(lambda: len(books.query("SELECT 1 FROM projects WHERE project_id = ANY(%s)", projects)) == len(projects))
    for project in projects:
        await asyncio.gather(*(gateway.ask_tokens(boot, project, 1, need_tokens=300) for boot in boots))
    granted = dict(books.query("SELECT scope_id, sum(granted_tokens)::bigint FROM grants GROUP BY 1"))
    assert {project: granted[project] for project in projects if granted[project] != 300} == {}


async def test_a_closed_boot_gives_back_what_it_has_not_spent(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """The moment its events are complete up to the close number, the rest of its grant serves others; it gets nothing more."""
    project, dead, alive = uuid7(), uuid7(), uuid7()
    await gateway.put_project(project, tokens=1_000)
    first = await gateway.ask_tokens(dead, project, 1, need_tokens=1_000)
    assert (first.status, first.granted_tokens) == ("granted", 1_000)
    assert (await gateway.ask_tokens(alive, project, 1, need_tokens=500)).status == "recalling"
    assert (await gateway.ask_tokens(alive, project, 2, need_tokens=1_001)).status == "exhausted", "more than there is at all"
    await gateway.ship([make_event(project, dead), make_event(project, dead)], boot=dead, first=2)
    await gateway.ship([], boot=dead, first=4, last=3, close=3)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND close_at = 3 AND NOT closed", dead))
    await eventually(
        lambda: books.query("SELECT 1 FROM ledger WHERE scope_id = %s AND length(period) = 7 AND spent_tokens = 30", project)
    )
    waiting = await gateway.ask_tokens(alive, project, 3, need_tokens=500)
    assert (waiting.status, waiting.used_tokens, waiting.held_tokens) == ("recalling", 30, 970)
    await gateway.ship([make_event(project, dead)], boot=dead, first=1)
    sequence = iter(range(4, 10_000))

    async def served() -> bool:
        return (await gateway.ask_tokens(alive, project, next(sequence), need_tokens=955)).status == "granted"

    await eventually(served)
    late = await gateway.ask_tokens(dead, project, 2, need_tokens=1)
    assert (late.status, late.granted_tokens, late.granted_nanousd) == ("closed", 0, None)


async def test_an_older_limit_is_never_granted_on(usage: UsageProcess, gateway: GatewaySide) -> None:
    """An ask that knows a newer limit than the books is not decided until the directory has told them; then it is served."""
    project, boot = uuid7(), uuid7()
    await gateway.put_project(project, tokens=1_000)
    assert (await gateway.ask_tokens(boot, project, 1, need_tokens=1)).status == "granted"
    assert (await gateway.ask_once(boot, project, 2, limit_version=2, need_tokens=10)).status == "stale_limits"
    await gateway.put_project(project, version=2, tokens=50)
    answer = await gateway.ask_tokens(boot, project, 2, limit_version=2, need_tokens=10)
    assert (answer.status, answer.limit_tokens, answer.limit_version) == ("granted", 50, 2)
    assert (await gateway.ask_once(boot, uuid7(), 1, limit_version=0)).status == "stale_limits"


async def test_what_usage_does_not_know_yet_is_served_shortly_after(usage: UsageProcess, gateway: GatewaySide) -> None:
    """An ask for a limit that has just been written makes usage look into the directory: whoever asks again is served."""
    project, boot = uuid7(), uuid7()
    for version in range(1, 6):
        await gateway.put_project(project, version=version, tokens=version * 100)
        answer = await gateway.ask_tokens(boot, project, version, limit_version=version, need_tokens=1)
        assert (answer.status, answer.limit_tokens) == ("granted", version * 100)


async def test_a_stale_ask_neither_delays_nor_spoils_the_others_of_its_message(
    usage: UsageProcess, gateway: GatewaySide, books: Books
) -> None:
    """Every ask is decided once: what is exhausted is said to be so, though a limit beside it is not known yet."""
    unknown, full, free, boot = uuid7(), uuid7(), uuid7(), uuid7()
    await gateway.put_project(full, tokens=10)
    await gateway.put_project(free, tokens=1_000)
    for project in (full, free):
        await gateway.ask_tokens(boot, project, 1)
    asks = [
        ScopeAsk(scope="project", scope_id=project, period=this_month(), limit_version=1, seq=2, need_tokens=100)
        for project in (unknown, full, free)
    ]
    answers = (await gateway.ask(boot, *asks)).answers
    assert [answer.status for answer in answers] == ["stale_limits", "exhausted", "granted"]
    assert books.query("SELECT ask_seq FROM grants WHERE boot = %s ORDER BY scope_id", boot) == [(2,), (2,)]
    assert books.query("SELECT 1 FROM grants WHERE scope_id = %s", unknown) == []


async def test_a_return_counts_only_when_its_limit_is_known(usage: UsageProcess, gateway: GatewaySide) -> None:
    """Until then nothing of it is stored, and the same return said again is heard."""
    project, boot, other = uuid7(), uuid7(), uuid7()
    await gateway.put_project(project, tokens=1_000)
    await gateway.ask_tokens(boot, project, 1, need_tokens=600)
    back = {"limit_version": 2, "granted_tokens": 200, "settled_tokens": 150, "returning": True}
    early = await gateway.ask_once(boot, project, 2, **back)
    assert (early.status, early.granted_tokens, early.held_tokens) == ("stale_limits", 200, 600)
    assert (await gateway.ask_once(other, project, 1)).held_tokens == 600
    await gateway.put_project(project, version=2, tokens=500)
    heard = await gateway.ask_tokens(boot, project, 2, **back)
    assert (heard.status, heard.granted_tokens, heard.held_tokens) == ("granted", 200, 200)


async def test_a_lowered_limit_stops_grants_until_enough_comes_back(usage: UsageProcess, gateway: GatewaySide) -> None:
    """Nothing is taken back by force; an explicit return makes room again."""
    project, one, other = uuid7(), uuid7(), uuid7()
    await gateway.put_project(project, tokens=1_000)
    assert (await gateway.ask_tokens(one, project, 1, need_tokens=600)).granted_tokens == 600
    await gateway.put_project(project, version=2, tokens=500)
    refused = await gateway.ask_tokens(other, project, 1, limit_version=2, need_tokens=100)
    assert (refused.status, refused.held_tokens, refused.limit_tokens) == ("recalling", 600, 500)
    returned = await gateway.ask_tokens(one, project, 2, limit_version=2, granted_tokens=200, settled_tokens=150, returning=True)
    assert returned.granted_tokens == 200
    late = await gateway.ask_tokens(one, project, 1, need_tokens=600)
    assert late.granted_tokens == 200, "an ask from before the return changes nothing"
    assert (await gateway.ask_tokens(other, project, 2, limit_version=2, need_tokens=100)).status == "granted"


async def test_no_limit_means_no_bound_and_a_later_limit_counts_the_past(
    usage: UsageProcess, gateway: GatewaySide, books: Books
) -> None:
    """Without a limit the grant is None; when one appears, what was spent and reserved before is inside the grant."""
    project, boot = uuid7(), uuid7()
    await gateway.put_project(project)
    free = await gateway.ask_tokens(boot, project, 1, need_tokens=10**9)
    assert (free.status, free.granted_tokens, free.granted_nanousd) == ("granted", None, None)
    await gateway.ship([make_event(project, boot, prompt_tokens=600, completion_tokens=0)], boot=boot, first=1)
    await eventually(
        lambda: books.query("SELECT 1 FROM ledger WHERE scope_id = %s AND length(period) = 7 AND spent_tokens = 600", project)
    )
    await gateway.put_project(project, version=2, tokens=1_000)
    limited = await gateway.ask_tokens(
        boot, project, 2, limit_version=2, settled_tokens=600, reserved_tokens=50, granted_tokens=None, need_tokens=100
    )
    assert (limited.status, limited.granted_tokens, limited.used_tokens) == ("granted", 750, 600)


async def test_many_scopes_are_answered_in_their_order(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """One message, several scopes, one transaction: answers come in the order of the asks, a repeated seq changes nothing."""
    projects, boot = [uuid7() for _ in range(6)], uuid7()
    for number, project in enumerate(projects):
        await gateway.put_project(project, tokens=1_000 + number)
    await eventually(lambda: books.one("SELECT count(*) FROM projects WHERE project_id = ANY(%s)", projects) == 6)
    asks = [
        ScopeAsk(scope="project", scope_id=project, period=this_month(), limit_version=1, seq=1, need_tokens=10, want_tokens=10)
        for project in reversed(projects)
    ]
    await gateway.present(boot)
    for _ in range(2):
        answers = (await gateway.ask(boot, *asks)).answers
        assert [answer.scope_id for answer in answers] == projects[::-1]
        assert [(answer.granted_tokens, answer.limit_tokens) for answer in answers] == [(10, 1_000 + n) for n in range(5, -1, -1)]


def tell(scope: str, scope_id: str, period: str, *, seq: int, version: int, limit: int | None, **amounts: int) -> ScopeAsk:
    """An ask that tells the limit of its scope."""
    return ScopeAsk(scope=scope, scope_id=scope_id, period=period, limit_version=version, limit_tokens=limit, seq=seq, **amounts)


@pytest.mark.parametrize(
    ("scope", "its_period"), [("key", this_month), ("key", this_day), ("member", this_month), ("end_user", this_day)]
)
async def test_limits_that_only_gateways_know_are_told_with_the_ask(
    usage: UsageProcess, gateway: GatewaySide, scope: str, its_period: Callable[[], str]
) -> None:
    """The newest version that any boot has told stands for all; together they get no more than it."""
    scope_id, period, one, other = f"{uuid7()}/somebody", its_period(), uuid7(), uuid7()
    await gateway.present(one)
    first = (await gateway.ask(one, tell(scope, scope_id, period, seq=1, version=1, limit=1_000, need_tokens=400))).answers[0]
    assert (first.status, first.granted_tokens, first.limit_tokens) == ("granted", 400, 1_000)
    lowered = (await gateway.ask(other, tell(scope, scope_id, period, seq=1, version=2, limit=500, need_tokens=200))).answers[0]
    assert (lowered.status, lowered.limit_tokens) == ("recalling", 500)
    late = await gateway.ask(
        one, tell(scope, scope_id, period, seq=2, version=1, limit=1_000, granted_tokens=400, need_tokens=200)
    )
    assert (late.answers[0].status, late.answers[0].limit_tokens, late.answers[0].limit_version) == ("exhausted", 500, 2)


async def test_days_and_organizations_have_budgets_of_their_own(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """The day's limit of a project and the limits of its organization come from the directory, each for its own period."""
    project, organization, boot = uuid7(), uuid7(), uuid7()
    await gateway.put_organization(organization, Limits(version=1, monthly_tokens=90, daily_tokens=30))
    await gateway.put_project(project, tokens=70, daily_tokens=20)
    await eventually(lambda: books.query("SELECT 1 FROM organizations WHERE organization_id = %s", organization))
    await eventually(lambda: books.query("SELECT 1 FROM projects WHERE project_id = %s", project))
    asks = [
        ScopeAsk(scope=scope, scope_id=scope_id, period=period, limit_version=1, seq=1, need_tokens=need)
        for scope, scope_id, period, need in (
            ("project", project, this_month(), 70),
            ("project", project, this_day(), 21),
            ("organization", organization, this_month(), 91),
            ("organization", organization, this_day(), 30),
        )
    ]
    await gateway.present(boot)
    answers = (await gateway.ask(boot, *asks)).answers
    assert [(answer.status, answer.limit_tokens) for answer in answers] == [
        ("granted", 70),
        ("exhausted", 20),
        ("exhausted", 90),
        ("granted", 30),
    ]


async def test_a_recall_is_said_when_others_hold_what_is_needed(usage: UsageProcess, gateway: GatewaySide) -> None:
    """Everybody hears who needs what; once it has been returned, the next ask is served."""
    project, rich, poor = uuid7(), uuid7(), uuid7()
    await gateway.put_project(project, tokens=1_000)
    await gateway.ask_tokens(rich, project, 1, need_tokens=1_000)
    heard = await gateway.hear_recalls()
    assert (await gateway.ask_tokens(poor, project, 1, need_tokens=300)).status == "recalling"
    await eventually(lambda: Recall(boot=poor, scopes=(("project", project, this_month()),)) in heard)
    await gateway.ask_tokens(rich, project, 2, granted_tokens=100, returning=True)
    assert (await gateway.ask_tokens(poor, project, 2, need_tokens=300)).status == "granted"


async def test_an_ask_and_a_booking_of_a_fresh_period_never_wait_for_each_other(
    usage: UsageProcess, gateway: GatewaySide, books: Books
) -> None:
    """An ask that waits for a row that a booking is making holds none that the booking needs next."""
    project, boot = uuid7(), uuid7()
    await gateway.put_project(project, tokens=1_000, daily_tokens=500)
    await gateway.ask_tokens(boot, project, 1)
    asks = [
        ScopeAsk(scope="project", scope_id=project, period=period, limit_version=1, seq=2, need_tokens=10)
        for period in (this_month(), this_day())
    ]
    upsert = (
        "INSERT INTO ledger AS l (scope, scope_id, period, spent_tokens) VALUES ('project', %s, %s, 15) "
        "ON CONFLICT (scope, scope_id, period) DO UPDATE SET spent_tokens = l.spent_tokens + excluded.spent_tokens"
    )
    async with await psycopg.AsyncConnection.connect(books.conninfo) as booking:
        await booking.execute(upsert, (project, this_day()))
        asking = asyncio.create_task(gateway.ask(boot, *asks))
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        await eventually(lambda: books.query(waiting))
        await booking.execute(upsert, (project, this_month()))
    answers = (await asking).answers
    assert [(answer.status, answer.used_tokens) for answer in answers] == [("granted", 15), ("granted", 15)]
    assert "Deadlock" not in usage.log.read_text()
