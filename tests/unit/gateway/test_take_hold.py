"""Taking a hold: who waits for what, for how long, and what a request is told that gets none."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from common.contracts.directory import KeyRecord, Limits, MemberRecord, OrganizationRecord, ProjectRecord
from gateway.domain.budget import Hold
from gateway.domain.calendar import Calendar
from gateway.domain.caller import Caller, join
from gateway.domain.patience import Patience
from gateway.domain.refusals import BudgetUnavailable, QuotaExceeded
from gateway.domain.standing import Standing, would_refuse
from gateway.outbound.asking import ASK_TIMEOUT
from gateway.outbound.grants import Grants
from gateway.use_cases import take_hold as limits_of_take_hold
from gateway.use_cases.take_hold import TakeHold
from tests.unit.gateway.simulated_authority import Wire
from usage.outbound.grants_store import GrantRow

ALL = ("organization", "project", "key", "member")
MILLION = 10**6


class Rig:
    """A gateway's budget side with an authority that grants."""

    def __init__(self, wire: Wire, boot: str = "b", *, contact_seconds: float = 900.0) -> None:
        self.wire = wire
        self.ended = 0
        self.grants = Grants(
            wire,  # type: ignore[arg-type] # as much of a client as is used
            gateway="g",
            boot=boot,
            expected=(100, 0),
            contact_seconds=contact_seconds,
            closed=self._closed,
        )
        self.take_hold = TakeHold(self.grants, Calendar())

    def _closed(self) -> None:
        self.ended += 1

    def standing(self, caller: Caller, end_user: str | None = None) -> Standing:
        day = self.take_hold.calendar.day("UTC", time.time_ns() // MILLION)
        return self.take_hold.standing(caller, day, end_user)

    async def take(self, caller: Caller, tokens: int, nanousd: int = 0, *, wait: float = 0.5) -> tuple[Hold, Patience]:
        standing, patience = self.standing(caller), Patience(wait)
        hold = Hold(standing.accounts, standing.binding)
        await self.take_hold.take(hold, standing, tokens, nanousd, patience)
        return hold, patience


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A project of a thousand tokens a month."""
    made = Rig(Wire(project=(1_000, None)))
    asking = asyncio.create_task(made.grants.run())
    yield made
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


def make_caller(
    *limited: str,
    tokens: int = 1_000,
    of_key: int | None = None,
    nanousd: int | None = None,
    enforcement: str = "hard",
    policy: str = "closed",
) -> Caller:
    """A caller whose `limited` owners have that many tokens, and so much money, a month."""

    def limits(owner: str) -> Limits:
        if owner not in limited:
            return Limits(version=1)
        most = of_key if owner == "key" and of_key is not None else tokens
        return Limits(version=1, monthly_tokens=most, monthly_cost_nanousd=nanousd)

    organization = OrganizationRecord(
        organization_id="o",
        version=1,
        status="active",
        limits=limits("organization"),
        enforcement=enforcement,  # type: ignore[arg-type] # one of the three
    )
    project = ProjectRecord(
        project_id="p",
        organization_id="o",
        version=1,
        status="active",
        limits=limits("project"),
        end_user_limits=limits("end_user"),
        enforcement=enforcement,  # type: ignore[arg-type] # one of the three
        on_no_grant=policy,  # type: ignore[arg-type] # one of the three
    )
    key = KeyRecord(
        key_id="k",
        lookup="l",
        project_id="p",
        organization_id="o",
        version=1,
        status="active",
        secrets=(),
        expires_at=None,
        owner_id="m",
        limits=limits("key"),
    )
    member = MemberRecord(organization_id="o", member_id="m", version=1, status="active", limits=limits("member"))
    return join(key, project, organization, member)


def skew_to(moment: str) -> int:
    """The skew of a clock that says so now, in UTC."""
    return int((datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() - time.time()) * 1000)


async def until(happened: Callable[[], bool]) -> None:
    """Raises TimeoutError."""
    async with asyncio.timeout(10):
        while not happened():
            await asyncio.sleep(0.05)


async def test_cold_accounts_are_asked_for_all_at_once(rig: Rig) -> None:
    """Of whatever number of owners: one message, and one wait for all of them."""
    rig.wire.limits = dict.fromkeys(ALL, (MILLION, None))
    rig.wire.seconds = 0.05
    hold, _ = await rig.take(make_caller(*ALL, tokens=MILLION), 100, wait=10.0)
    assert hold.tokens == 100
    assert len(rig.wire.asked) == 1
    assert rig.grants.waits == 1


async def test_a_hold_at_hand_waits_for_nothing(rig: Rig) -> None:
    """Once there is a cushion, requests take from it."""
    caller = make_caller("project")
    await rig.take(caller, 10)
    _, patience = await rig.take(caller, 10)
    assert patience.waited == 0.0


async def test_what_is_spent_is_refused_until_the_period_ends(rig: Rig) -> None:
    """With the limit's name and what is used; the client need not come back in a second."""
    standing = rig.standing(make_caller("project"))
    name = ("project", "p", standing.day.month)
    rig.wire.spend(name, "another", 950)
    with pytest.raises(QuotaExceeded) as refused:
        await rig.take(make_caller("project"), 100)
    members = refused.value.members
    assert (members["limit_source"], members["used"], members["needed"]) == ("project.monthly_tokens", 950, 100)
    assert (refused.value.retry_after or 0) > 1


@pytest.mark.parametrize(
    ("tokens", "nanousd", "limit_source", "used"),
    [
        (1_000, MILLION, "project.monthly_cost", MILLION),
        (10**9, 1_000, "project.monthly_tokens", 10**9),
        (10**9, MILLION, "project.monthly_tokens", 10**9),
    ],
    ids=["money", "tokens", "both"],
)
async def test_a_gateway_that_was_granted_nothing_names_the_limit_that_is_spent(
    rig: Rig, tokens: int, nanousd: int, limit_source: str, used: int
) -> None:
    """It lacks both units, because one that is out keeps the other from being granted."""
    rig.wire.limits = {"project": (10**9, MILLION)}
    caller = make_caller("project", tokens=10**9, nanousd=MILLION)
    month = rig.standing(caller).day.month
    rig.wire.spend(("project", "p", month), "another", tokens, nanousd)
    with pytest.raises(QuotaExceeded) as refused:
        await rig.take(caller, 100, 1_000)
    members = refused.value.members
    assert (members["limit_source"], members["used"], members["limit"]) == (limit_source, used, used)
    assert (refused.value.retry_after or 0) > 1


async def test_of_several_budgets_the_one_that_is_too_small_is_named(rig: Rig) -> None:
    """Before one that is only spent: when that begins anew, the request does not fit either."""
    rig.wire.limits = {"project": (1_000, None), "key": (100, None)}
    caller = make_caller("project", "key", of_key=100)
    rig.wire.spend(("project", "p", rig.standing(caller).day.month), "another", 950)
    with pytest.raises(QuotaExceeded):
        await rig.take(caller, 90)
    with pytest.raises(QuotaExceeded) as refused:
        await rig.take(caller, 101)
    assert (refused.value.members["limit_source"], refused.value.is_final) == ("key.monthly_tokens", True)


async def test_what_is_only_held_may_come_back_soon(rig: Rig) -> None:
    """Another gateway holds it for its own requests: refused after the wait, for a second."""
    other = Rig(rig.wire, boot="other")
    asking = asyncio.create_task(other.grants.run())
    await other.take(make_caller("project"), 950)
    with pytest.raises(QuotaExceeded) as refused:
        await rig.take(make_caller("project"), 100, wait=0.1)
    assert (refused.value.members["used"], refused.value.retry_after) == (0, 1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_an_authority_that_has_fallen_silent_says_nothing_of_the_budget(rig: Rig) -> None:
    """That others held it long ago is no reason: 503 by the policy, not 429."""
    standing = rig.standing(make_caller("project"))
    name = ("project", "p", standing.day.month)
    rig.wire.authority.granted[name, "another"] = GrantRow(name, 950, None, 1)
    with pytest.raises(QuotaExceeded):
        await rig.take(make_caller("project"), 100)
    rig.wire.seconds = 10.0
    await asyncio.sleep(ASK_TIMEOUT + 1.5)
    with pytest.raises(BudgetUnavailable):
        await rig.take(make_caller("project"), 100, wait=0.05)


async def test_what_is_spent_stays_spent_where_answers_are_late(rig: Rig) -> None:
    """429 on the strength of an old answer, as long as somebody answers at all; after that the policy decides."""
    name = ("project", "p", rig.standing(make_caller("project")).day.month)
    rig.wire.spend(name, "another", 950)
    with pytest.raises(QuotaExceeded):
        await rig.take(make_caller("project"), 100)
    await asyncio.sleep(2.1)
    rig.wire.seconds = 10.0
    with pytest.raises(QuotaExceeded):
        await rig.take(make_caller("project"), 100, wait=0.05)
    await asyncio.sleep(2 * ASK_TIMEOUT + 0.5)
    assert rig.grants.asking.is_silent
    with pytest.raises(BudgetUnavailable):
        await rig.take(make_caller("project"), 100, wait=0.05)


async def test_five_hundred_at_once_over_a_budget_for_ten(rig: Rig) -> None:
    """Exactly those that fit are let in, and all the others are told that others hold it; none is told that nobody could say."""
    caller = make_caller("project")

    async def ask() -> str:
        try:
            await rig.take(caller, 100, wait=2.0)
        except QuotaExceeded:
            return "refused"
        return "let in"

    outcomes = await asyncio.gather(*(ask() for _ in range(500)))
    assert (outcomes.count("let in"), outcomes.count("refused")) == (10, 490)
    assert rig.standing(caller).accounts[0].reserved_tokens == 1_000


async def test_all_that_wait_are_served_together(rig: Rig) -> None:
    """A budget that covers all of them covers all of them at once, not one after the other."""
    rig.wire.limits = {"project": (200_000, None)}
    rig.wire.seconds, rig.wire.gateways = 0.05, 4
    caller = make_caller("project", tokens=200_000)
    await asyncio.gather(*(rig.take(caller, 1_000, wait=0.5) for _ in range(100)))
    assert len(rig.wire.asked) <= 4


async def test_whoever_needs_nothing_keeps_in_touch() -> None:
    """An idle gateway, or one whose grant lasts for long, goes on hearing how things stand, and is not cut off."""
    wire = Wire(project=(MILLION, None))
    rig = Rig(wire, contact_seconds=4.0)
    asking = asyncio.create_task(rig.grants.run())
    caller = make_caller("project", tokens=MILLION)
    hold, _ = await rig.take(caller, 100)
    hold.settle(50, 0)
    await asyncio.sleep(6.0)
    asked = len(wire.asked)
    assert not rig.grants.is_cut_off
    await rig.take(caller, 100)
    assert len(wire.asked) == asked, "the grant covers it"
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_an_idle_gateway_keeps_in_touch_when_the_account_it_heard_of_last_is_forgotten() -> None:
    """A day's, two days after the day; then any other will do, and whoever is covered is let in without a word."""
    wire = Wire(project=(MILLION, None), key=(MILLION, None))
    rig = Rig(wire, contact_seconds=4.0)
    wire.skew_ms = skew_to("2026-05-10T12:00:00")
    asking = asyncio.create_task(rig.grants.run())
    month = rig.grants.account("project", "p", "2026-05", MILLION, None, 1)
    day = rig.grants.account("key", "k", "2026-05-10", MILLION, None, 1)
    for account in (month, day):
        await rig.grants.wait([account], 100, 0, 0.5)
    wire.skew_ms = skew_to("2026-05-13T12:00:00")
    await until(lambda: not rig.grants.find("key", "k"))
    asked = len(wire.asked)
    await asyncio.sleep(6.0)
    assert not rig.grants.is_cut_off
    assert {one.scope for ask in wire.asked[asked:] for one in ask.asks} == {"project"}
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_whoever_holds_nothing_is_asked_for_by_the_first_request() -> None:
    """Without any account there is nobody to ask about, and nothing that could be spent; the first request is let in by its answer."""
    wire = Wire(project=(MILLION, None))
    rig = Rig(wire, contact_seconds=0.5)
    asking = asyncio.create_task(rig.grants.run())
    await until(lambda: rig.grants.is_cut_off)
    assert not wire.asked
    hold, _ = await rig.take(make_caller("project", tokens=MILLION), 100)
    assert hold.tokens == 100
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_request_that_is_covered_waits_for_the_answer_that_ends_a_silence() -> None:
    """Cut off by nothing but a pause: it is asked how things stand, and what was granted counts again."""
    wire = Wire(project=(MILLION, None))
    rig = Rig(wire)
    asking = asyncio.create_task(rig.grants.asking.run())  # without the ticks, which ask as well
    caller = make_caller("project", tokens=MILLION)
    await rig.take(caller, 100)
    await asyncio.sleep(0.1)
    rig.grants.is_cut_off = True
    wire.seconds = 0.05
    hold, patience = await rig.take(caller, 100)
    assert (hold.tokens, patience.waited > 0.04) == (100, True)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_requests_that_are_covered_ask_on_while_nobody_answers() -> None:
    """They are refused at once, by the policy, and are what finds out that somebody answers again."""
    wire = Wire(project=(MILLION, None))
    rig = Rig(wire)
    asking = asyncio.create_task(rig.grants.asking.run())  # without the ticks, which ask as well
    caller = make_caller("project", tokens=MILLION)
    await rig.take(caller, 100)
    rig.grants.is_cut_off, wire.is_connected = True, False
    await asyncio.sleep(0.3)
    for _ in range(2):
        with pytest.raises(BudgetUnavailable):
            await rig.take(caller, 100, wait=0.05)
        await asyncio.sleep(ASK_TIMEOUT + 0.1)
    assert rig.grants.asking.is_silent
    wire.is_connected = True
    with pytest.raises(BudgetUnavailable):
        await rig.take(caller, 100, wait=0.05)
    await asyncio.sleep(0.05)
    await rig.take(caller, 100, wait=0.0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_accounts_are_forgotten_by_the_authoritys_clock() -> None:
    """Ours may jump; what is forgotten while the authority still counts it would be granted to this boot a second time."""
    wire = Wire(project=(MILLION, None))
    wire.skew_ms = 40 * 86_400_000
    rig = Rig(wire)
    asking = asyncio.create_task(rig.grants.run())
    hold, _ = await rig.take(make_caller("project", tokens=MILLION), 100)
    assert rig.grants.find("project", "p")
    hold.settle(50, 0)
    for _ in range(50):
        if not rig.grants.find("project", "p"):
            break
        await asyncio.sleep(0.1)
    assert not rig.grants.find("project", "p")
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_grants_of_long_ago_are_not_spent_without_contact() -> None:
    """After the stated time without an answer the policy decides, although the grant would cover it."""
    wire = Wire(project=(MILLION, None))
    rig = Rig(wire, contact_seconds=1.2)
    asking = asyncio.create_task(rig.grants.run())
    caller = make_caller("project", tokens=MILLION)
    await rig.take(caller, 100)
    wire.is_connected = False
    await rig.take(caller, 100)
    await asyncio.sleep(3.0)
    assert rig.grants.is_cut_off
    with pytest.raises(BudgetUnavailable):
        await rig.take(caller, 100, wait=0.05)
    wire.is_connected = True
    rig.grants.ask_again(rig.standing(caller).binding[0])
    await asyncio.sleep(0.1)
    await rig.take(caller, 100)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_boot_that_is_held_for_dead_spends_nothing_more(rig: Rig) -> None:
    """An operator has released it: the first answer that says so ends its grants, and the process is told once to end."""
    caller = make_caller("project")
    await rig.take(caller, 10)
    rig.wire.authority.closed.add("b")
    await rig.grants.look([rig.standing(caller).accounts[0]], 0.5)
    await rig.grants.look([rig.standing(caller).accounts[0]], 0.5)
    assert (rig.grants.is_closed, rig.ended) == (True, 1)
    with pytest.raises(BudgetUnavailable):
        await rig.take(caller, 10, wait=0.05)


async def test_a_look_takes_nothing(rig: Rig) -> None:
    """Whoever only asks where an account stands is granted nothing that others could use."""
    caller = make_caller("project")
    await rig.grants.look([rig.standing(caller).accounts[0]], 0.5)
    account = rig.standing(caller).accounts[0]
    assert account.answer is not None
    assert account.granted_tokens == 0


async def test_newer_limits_than_the_authority_knows_are_waited_for(rig: Rig) -> None:
    """It says that it has not heard of them; the request is asked for again until it has, or its time is over."""
    rig.wire.version = 0
    waiting = asyncio.create_task(rig.take(make_caller("project"), 10, wait=2.0))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    rig.wire.version = 1
    hold, _ = await waiting
    assert hold.tokens == 10
    assert len(rig.wire.asked) < 100


async def test_shadow_limits_say_what_is_used_up_and_not_what_is_not_granted_yet(rig: Rig) -> None:
    """An account that has never asked refuses nothing; one that is spent would."""
    caller = make_caller("project", enforcement="shadow")
    standing = rig.standing(caller)
    assert would_refuse(standing, 100, 0) == ()
    assert would_refuse(standing, 1_001, 0) == ("project.monthly_tokens",)
    rig.wire.spend(("project", "p", standing.day.month), "another", 950)
    await rig.grants.look([standing.accounts[0]], 0.5)
    assert would_refuse(standing, 100, 0) == ("project.monthly_tokens",)


@pytest.mark.parametrize("booked", [False, True], ids=["booked late", "booked at once"])
async def test_a_shadow_limit_would_refuse_where_a_hard_one_does(*, booked: bool) -> None:
    """To the token, whatever of it the books have heard: what others have used, and all that was settled here."""

    async def count_let_in(enforcement: str) -> tuple[int, int]:
        """Of twenty requests of 100 tokens that come to 90 each, and how often was asked."""
        rig, caller = Rig(Wire(project=(1_000, None))), make_caller("project", enforcement=enforcement)
        asking = asyncio.create_task(rig.grants.run())
        standing = rig.standing(caller)
        name = ("project", "p", standing.day.month)
        rig.wire.spend(name, "another", 300)
        await rig.grants.look([standing.accounts[0]], 0.5)
        let_in = 0
        for _ in range(20):
            would = would_refuse(standing, 100, 0)
            try:
                hold, _ = await rig.take(caller, 100)
            except QuotaExceeded:
                continue
            let_in += not would
            hold.settle(90, 0)
            if booked:
                rig.wire.spend(name, "b", 90)
            await rig.grants.look([standing.accounts[0]], 0.5)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        return let_in, len(rig.wire.asked)

    shadow, asked = await count_let_in("shadow")
    hard, _ = await count_let_in("hard")
    assert (shadow, hard) == (7, 7)
    assert asked > 7


async def test_grace_and_soft_limits(rig: Rig) -> None:
    """A soft limit that is spent refuses nobody, also while the policy `grace` counts what is left of the hard ones."""
    rig.wire.is_connected = False
    caller = make_caller("organization", "project", policy="grace", tokens=100_000)
    soft = join(
        caller.key,
        caller.project,
        OrganizationRecord(
            organization_id="o",
            version=2,
            status="active",
            limits=Limits(version=1, monthly_tokens=1),
            enforcement="soft",
        ),
        caller.owner,
    )
    hold, _ = await rig.take(soft, 500, wait=0.05)
    assert hold.tokens == 500


async def test_end_users_beyond_number_are_refused_by_name(rig: Rig) -> None:
    """Whoever has a key can make up any number of them: those that have been seen go on, new ones are told why."""
    caller = make_caller("end_user")
    rig.standing(caller, "ada")
    month = rig.standing(caller).day.month
    rig.grants.end_users["p", month] += limits_of_take_hold.MOST_END_USERS
    with pytest.raises(BudgetUnavailable, match="end users"):
        rig.standing(caller, "grace")
    rig.take_hold._kept.clear()
    rig.standing(caller, "ada")
