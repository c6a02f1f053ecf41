"""What a request meets when nobody can be asked for a grant: the policy of its project, within its stated amount."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from common.contracts.directory import KeyRecord, Limits, OrganizationRecord, ProjectRecord
from common.contracts.grants import ScopeAnswer
from gateway.domain.budget import Hold
from gateway.domain.calendar import Calendar
from gateway.domain.caller import Caller, join
from gateway.domain.patience import Patience
from gateway.domain.refusals import BudgetUnavailable, QuotaExceeded
from gateway.domain.standing import Standing
from gateway.outbound.grants import Grants
from gateway.use_cases.take_hold import TakeHold

WAIT_SECONDS = 0.05


def make_caller(policy: str, *, tokens: int | None = 100_000, nanousd: int | None = None, enforcement: str = "hard") -> Caller:
    organization = OrganizationRecord(organization_id="o", version=1, status="active")
    project = ProjectRecord(
        project_id="p",
        organization_id="o",
        version=1,
        status="active",
        limits=Limits(version=1, monthly_tokens=tokens, monthly_cost_nanousd=nanousd),
        on_no_grant=policy,  # type: ignore[arg-type] # one of the three
        enforcement=enforcement,  # type: ignore[arg-type] # so is this
    )
    key = KeyRecord(
        key_id="k", lookup="l", project_id="p", organization_id="o", version=1, status="active", secrets=(), expires_at=None
    )
    return join(key, project, organization, None)


@pytest.fixture
async def take_hold() -> AsyncIterator[TakeHold]:
    """Its grants have no connection, and know of two gateways."""
    grants = Grants(Client(), gateway="g", boot="b", expected=(100, 0), gateways=2)
    asking = asyncio.create_task(grants.run())
    yield TakeHold(grants, Calendar())
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


def stand(take_hold: TakeHold, caller: Caller) -> Standing:
    day = take_hold.calendar.day("UTC", time.time_ns() // 1_000_000)
    return take_hold.standing(caller, day, None)


async def take(take_hold: TakeHold, caller: Caller, tokens: int, nanousd: int = 0) -> str:
    standing = stand(take_hold, caller)
    return await take_hold.take(Hold(standing.accounts, standing.binding), standing, tokens, nanousd, Patience(WAIT_SECONDS))


async def test_closed_refuses(take_hold: TakeHold) -> None:
    """With 503: nobody knows whether the budget is spent."""
    with pytest.raises(BudgetUnavailable) as refused:
        await take(take_hold, make_caller("closed"), 10)
    assert refused.value.members["limit_source"] == "project.monthly_tokens"


async def test_open_lets_everything_pass(take_hold: TakeHold) -> None:
    """And counts it, so that the books and the next ask know."""
    caller = make_caller("open")
    assert [await take(take_hold, caller, 60_000) for _ in range(2)] == ["open", "open"]
    assert stand(take_hold, caller).accounts[0].reserved_tokens == 120_000


@pytest.mark.parametrize("policy", ["open", "grace", "closed"])
async def test_what_is_larger_than_the_whole_limit_is_refused_without_asking(take_hold: TakeHold, policy: str) -> None:
    """It never fits: no policy lets it pass, and nobody waits."""
    caller = make_caller(policy)
    with pytest.raises(QuotaExceeded) as refused:
        await take(take_hold, caller, 100_001)
    assert (refused.value.is_final, refused.value.members["limit"], refused.value.members["needed"]) == (True, 100_000, 100_001)
    assert (take_hold.grants.waits, take_hold.grants.asking.asks) == (0, 0)
    if policy == "open":
        assert await take(take_hold, caller, 100_000) == "open"


@pytest.mark.parametrize(
    ("needed", "limit_source"), [((10, 1), "project.monthly_cost"), ((1, 10), "project.monthly_tokens")], ids=["money", "tokens"]
)
async def test_the_limit_that_is_not_covered_is_named(take_hold: TakeHold, needed: tuple[int, int], limit_source: str) -> None:
    """Also where nobody can be asked: not the first that there is."""
    caller = make_caller("closed", nanousd=100_000)
    account = stand(take_hold, caller).accounts[0]
    account.granted_tokens, account.granted_nanousd = (10, 0) if needed[0] == 10 else (0, 10)
    with pytest.raises(BudgetUnavailable) as refused:
        await take(take_hold, caller, *needed)
    assert refused.value.members["limit_source"] == limit_source


async def test_whoever_is_cut_off_names_a_limit_that_there_is(take_hold: TakeHold) -> None:
    """Its grants would cover it, so no unit is short."""
    caller = make_caller("closed", tokens=None, nanousd=100_000)
    stand(take_hold, caller).accounts[0].granted_nanousd = 1_000
    take_hold.grants.is_cut_off = True
    with pytest.raises(BudgetUnavailable) as refused:
        await take(take_hold, caller, 10, 10)
    assert refused.value.members["limit_source"] == "project.monthly_cost"


async def test_grace_lets_a_gateways_share_of_one_percent_pass(take_hold: TakeHold) -> None:
    """One percent of 100,000 over two gateways is 500 here; not one token more."""
    caller = make_caller("grace")
    assert await take(take_hold, caller, 300) == "grace"
    assert await take(take_hold, caller, 200) == "grace"
    with pytest.raises(BudgetUnavailable):
        await take(take_hold, caller, 1)


async def test_grace_does_not_begin_anew_when_what_passed_is_booked(take_hold: TakeHold) -> None:
    """The authority raises the grant to what was spent: what it knows to be beyond the limit counts against the one percent."""
    caller = make_caller("grace")
    assert await take(take_hold, caller, 0) == ""
    with pytest.raises(BudgetUnavailable):
        await take(take_hold, caller, 100_000)
    await asyncio.sleep(1.1)
    assert take_hold.grants.asking.is_silent
    tell_spent(take_hold, caller, 100_400)
    assert await take(take_hold, caller, 100) == "grace"
    with pytest.raises(BudgetUnavailable):
        await take(take_hold, caller, 1)


@pytest.mark.parametrize("policy", ["open", "grace", "closed"])
async def test_what_is_known_to_be_spent_is_refused_where_an_answer_is_only_late(take_hold: TakeHold, policy: str) -> None:
    """Usage answers, but not within the wait: no policy lets a request pass that its last answer, however old, leaves no room for."""
    caller = make_caller(policy)
    tell_spent(take_hold, caller, 99_900)
    with pytest.raises(QuotaExceeded) as refused:
        await take(take_hold, caller, 101)
    assert (refused.value.members["used"], refused.value.members["needed"]) == (99_900, 101)
    if policy == "open":
        assert await take(take_hold, caller, 100) == "open"


def tell_spent(take_hold: TakeHold, caller: Caller, tokens: int) -> None:
    """The authority said so long ago; all of it was spent here."""
    account = stand(take_hold, caller).accounts[0]
    account.settled_tokens = account.granted_tokens = tokens
    account.answer = ScopeAnswer(
        scope="project", scope_id="p", period=account.period, seq=1, status="exhausted", limit_tokens=100_000, used_tokens=tokens
    )


async def test_what_was_granted_is_spent_first(take_hold: TakeHold) -> None:
    """A policy counts only for what no grant covers."""
    caller = make_caller("grace")
    stand(take_hold, caller).accounts[0].granted_tokens = 400
    assert await take(take_hold, caller, 400) == ""
    assert await take(take_hold, caller, 500) == "grace"


async def test_once_asks_go_unanswered_nobody_waits_and_somebody_asks_on(take_hold: TakeHold) -> None:
    """The first requests wait their time; after a second of silence the next are told at once, and asks go on meanwhile."""
    caller = make_caller("closed")
    with pytest.raises(BudgetUnavailable):
        await take(take_hold, caller, 1)
    await asyncio.sleep(1.1)
    assert take_hold.grants.asking.is_silent
    waits, asks = take_hold.grants.waits, take_hold.grants.asking.asks
    for _ in range(3):
        with pytest.raises(BudgetUnavailable):
            await take(take_hold, caller, 1)
        await asyncio.sleep(0.3)
    assert take_hold.grants.waits == waits
    assert take_hold.grants.asking.asks > asks


async def test_a_first_cushion_is_asked_for_until_somebody_answers(take_hold: TakeHold) -> None:
    """Without any request: the first one after a silence must not be refused for it."""
    standing = stand(take_hold, make_caller("closed"))
    take_hold.grants.expect(standing.limited[0][0])
    await asyncio.sleep(0.1)
    asks = take_hold.grants.asking.asks
    assert asks == 1
    await asyncio.sleep(2.5)
    assert take_hold.grants.asking.asks >= asks + 2


async def test_a_soft_limit_never_waits(take_hold: TakeHold) -> None:
    """Nor does one in shadow mode: they refuse nothing, so nobody need be asked."""
    for enforcement in ("soft", "shadow"):
        assert await take(take_hold, make_caller("closed", tokens=1, enforcement=enforcement), 50) == ""
    with pytest.raises((BudgetUnavailable, QuotaExceeded)):
        await take(take_hold, make_caller("closed", tokens=1), 50)
