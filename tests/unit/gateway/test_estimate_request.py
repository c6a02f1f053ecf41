"""What an estimate says of budgets: the verdict that the same request would get, or that nobody could say."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats.aio.client import Client

from common.contracts.directory import NO_LIMITS, Limits
from gateway.domain.calendar import Calendar
from gateway.domain.caller import Caller
from gateway.domain.learned_usage import LearnedUsage
from gateway.domain.refusals import BudgetUnavailable
from gateway.outbound.asking import ASK_TIMEOUT
from gateway.outbound.grants import Grants
from gateway.outbound.rates import Rates
from gateway.use_cases.estimate_request import EstimateRequest
from gateway.use_cases.limit_questions import LimitQuestions
from gateway.use_cases.plan_request import PlanRequest
from gateway.use_cases.take_hold import TakeHold
from gateway.use_cases.take_rate import TakeRate
from tests.unit.gateway.simulated_authority import Wire
from tests.unit.gateway.test_plan_request import BOOK, ROUTES, make_caller

LIMIT = 10_000
BODY = json.dumps({"model": "deep", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 500}).encode()
TOO_LARGE = json.dumps({"model": "deep", "messages": [{"role": "user", "content": "hi"}], "max_tokens": LIMIT}).encode()
WAIT_SECONDS = 0.05


class Rig:
    """A gateway's budget side, and who estimates by it."""

    def __init__(self) -> None:
        self.wire = Wire(project=(LIMIT, None))
        client: Any = self.wire
        self.grants = Grants(client, gateway="g", boot="b", expected=(100, 0))
        self.take_hold = TakeHold(self.grants, Calendar())
        self.plan = PlanRequest(
            ROUTES, Calendar(), self.take_hold, LearnedUsage(), lambda _family, _request: None, BOOK.dearest(), WAIT_SECONDS
        )
        take_rate = TakeRate(Rates(Client(), gateway="g", boot="b"), NO_LIMITS)
        limit = LimitQuestions("estimates", per_second=100, at_once=100)
        self.estimate = EstimateRequest(self.plan, take_rate, self.grants, WAIT_SECONDS, limit)

    async def verdict(self, caller: Caller, body: bytes = BODY) -> str:
        return str((await self.estimate(caller, body, None, ""))["verdict"])

    async def take(self, caller: Caller) -> None:
        """As the request itself would."""
        run = self.plan(caller, BODY, None, "/v1/chat/completions")
        await self.take_hold.take(run.hold, run.standing, run.estimate.tokens, run.estimate.nanousd, run.patience)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    asking = asyncio.create_task(made.grants.run())
    yield made
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


@pytest.fixture
def caller() -> Caller:
    return make_caller(limits=Limits(version=1, monthly_tokens=LIMIT))


@pytest.mark.parametrize("silent", [False, True], ids=["late", "silent"])
@pytest.mark.parametrize("asked_before", [False, True])
async def test_what_was_free_when_somebody_last_answered_is_no_promise(
    rig: Rig, caller: Caller, *, asked_before: bool, silent: bool
) -> None:
    """Usage is away: the request would get 503, so nobody can say that it would be let in."""
    if asked_before:
        assert await rig.verdict(caller) == "admitted"
    rig.wire.seconds = 10.0
    if silent:
        await rig.verdict(caller)
        await asyncio.sleep(2 * ASK_TIMEOUT + 0.5)
        assert rig.grants.asking.is_silent
    assert await rig.verdict(caller) == "unknown"
    with pytest.raises(BudgetUnavailable):
        await rig.take(caller)


async def test_the_grant_at_hand_is_a_promise_until_this_gateway_is_cut_off(rig: Rig, caller: Caller) -> None:
    """What it covers is let in without asking; after too long a silence nothing is."""
    await rig.take(caller)
    account = rig.plan(caller, BODY, None, "/v1/chat/completions").standing.accounts[0]
    account.granted_tokens = account.reserved_tokens + 1_000
    rig.wire.seconds = 10.0
    assert await rig.verdict(caller) == "admitted"
    rig.grants.is_cut_off = True
    assert await rig.verdict(caller) == "unknown"
    with pytest.raises(BudgetUnavailable):
        await rig.take(caller)


async def test_what_is_larger_than_the_whole_limit_is_refused_whoever_can_be_asked(rig: Rig, caller: Caller) -> None:
    """As the request itself."""
    rig.wire.is_connected = False
    assert await rig.verdict(caller, TOO_LARGE) == "refused"
    assert await rig.verdict(caller) == "unknown"
