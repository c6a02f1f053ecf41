"""The hold of a further attempt, after one that may be billed, is taken as the first was: with a real upstream and a real spool."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client
from scripted_upstream import PATIENT, Wire
from tests.unit.gateway import simulated_authority
from tests.unit.gateway.spool_makers import open_spool
from tests.unit.gateway.test_plan_request import PRICED, make_caller, make_plan, plan
from tests.unit.gateway.test_take_hold import MILLION, Rig

from common.contracts.directory import NO_LIMITS, Limits
from conftest import ClientFactory, Serve
from gateway.domain.patience import Patience
from gateway.domain.rate_limit import Amount
from gateway.domain.refusals import UpstreamFailed
from gateway.domain.run import Run
from gateway.domain.upstream_health import Health
from gateway.outbound.rates import Rates
from gateway.use_cases.call_upstream import CallUpstream, RetryPolicy
from gateway.use_cases.take_rate import TakeRate

LOST = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"
USAGE = b'{"usage": {"prompt_tokens": 7, "completion_tokens": 3}}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(USAGE), USAGE)
LATE = 10.0


async def first_lost(wire: Wire) -> None:
    """Loses the answer to the first request of a connection, and answers the second."""
    for answer in (LOST, ANSWER):
        await wire.request()
        await wire.say(answer)


class Scene:
    """A request of a project with a million tokens a month, and whom it calls."""

    def __init__(self, calling: CallUpstream, rig: Rig) -> None:
        self.calling, self.rig = calling, rig

    async def admit(
        self, *, tokens: int = MILLION, a_minute: int | None = None, policy: str = "closed", patience: float = 1.0
    ) -> Run:
        """Its first hold is taken, and what it would ask ahead for is still to be asked."""
        self.rig.wire.limits = {"project": (tokens, None)}
        limits = Limits(version=1, monthly_tokens=tokens, tokens_per_minute=a_minute)
        caller = make_caller(limits=limits, on_no_grant=policy)
        run = plan(make_plan(take_hold=self.rig.take_hold), caller, max_tokens=20_000)
        run.plan, run.patience = [PRICED, PRICED], Patience(patience)
        run.no_grant = await self.rig.take_hold.take(
            run.hold, run.standing, run.estimate.tokens, run.estimate.nanousd, run.patience
        )
        return run


@pytest.fixture
async def scene(own_client: ClientFactory, serve: Serve, tmp_path: Path) -> AsyncIterator[Scene]:
    """Its authority answers at once, until a test wants it otherwise."""
    rig = Rig(simulated_authority.Wire())
    asking = asyncio.create_task(rig.grants.asking.run())
    targets = {PRICED.upstream: (await serve(first_lost)).target()}
    policy = RetryPolicy(backoff=0.0, timeouts=PATIENT)
    spool = open_spool(tmp_path)
    yield Scene(CallUpstream(own_client(), targets, Health(), rig.take_hold, spool, policy, lambda _: True), rig)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_it_waits_for_a_grant(scene: Scene) -> None:
    """Most of the budget is free, and only not granted to this gateway yet."""
    run = await scene.admit()
    scene.rig.wire.seconds = 0.02
    await scene.calling.whole(run)
    assert [attempt.outcome for attempt in run.attempts] == ["http_502", "ok"]
    assert run.hold.tokens == 2 * run.estimate.tokens
    assert run.patience.waited > 0


@pytest.mark.parametrize("policy", ["open", "closed"])
async def test_where_nobody_says_in_time_the_policy_decides(scene: Scene, policy: str) -> None:
    """As for the first hold; what it lets pass is on record. Where it lets nothing pass, the failure is the answer."""
    run = await scene.admit(policy=policy, patience=0.05)
    scene.rig.wire.seconds = LATE
    if policy == "open":
        await scene.calling.whole(run)
    else:
        with pytest.raises(UpstreamFailed):
            await scene.calling.whole(run)
    attempts = 2 if policy == "open" else 1
    assert (len(run.attempts), run.hold.tokens) == (attempts, attempts * run.estimate.tokens)
    assert run.no_grant == ("open" if policy == "open" else "")


async def test_a_spent_budget_has_no_further_attempt(scene: Scene) -> None:
    """It is refused like any hold; the client is told of the failure, which it may understand, and is charged for one attempt."""
    run = await scene.admit(tokens=30_000, policy="open")
    with pytest.raises(UpstreamFailed):
        await scene.calling.whole(run)
    assert (len(run.attempts), run.hold.tokens, run.no_grant) == (1, run.estimate.tokens, "")


async def test_without_contact_there_is_no_further_attempt(scene: Scene) -> None:
    """What was granted long ago would cover it."""
    run = await scene.admit()
    await asyncio.sleep(0.1)
    assert run.standing.binding[0].fits(run.estimate.tokens, 0)
    scene.rig.grants.is_cut_off, scene.rig.wire.is_connected = True, False
    with pytest.raises(UpstreamFailed):
        await scene.calling.whole(run)
    assert (len(run.attempts), run.hold.tokens) == (1, run.estimate.tokens)


async def test_whoever_leaves_while_it_waits_holds_what_the_first_attempt_needs(scene: Scene) -> None:
    """And gives that back when it is settled."""
    run = await scene.admit()
    scene.rig.wire.seconds = LATE
    waits = scene.rig.grants.waits
    calling = asyncio.create_task(scene.calling.whole(run))
    async with asyncio.timeout(1.0):
        while scene.rig.grants.waits == waits:
            await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert ([attempt.outcome for attempt in run.attempts], run.hold.tokens) == (["http_502"], run.estimate.tokens)
    run.hold.settle(run.estimate.tokens, run.estimate.nanousd)
    assert run.standing.binding[0].reserved_tokens == 0


@pytest.mark.parametrize(("a_minute", "attempts"), [(30_000, 1), (MILLION, 2)])
async def test_it_counts_against_the_tokens_of_a_minute(scene: Scene, a_minute: int, attempts: int) -> None:
    """Where they do not cover it, there is no further attempt; in the end those are counted that are booked."""
    run = await scene.admit(a_minute=a_minute, patience=0.01)
    take_rate = TakeRate(Rates(Client(), gateway="g", boot="b"), NO_LIMITS)  # on its even share, which is all of it
    rated = take_rate.rated(run.caller, None, "")
    permit = run.permit = take_rate.permit(rated, run.patience)
    await permit.take(Amount(1, run.estimate.tokens, 1))
    if attempts == 1:
        with pytest.raises(UpstreamFailed):
            await scene.calling.whole(run)
    else:
        await scene.calling.whole(run)
    assert (len(run.attempts), permit.tokens) == (attempts, attempts * run.estimate.tokens)
    booked = sum(attempt.usage.prompt_tokens + attempt.usage.completion_tokens for attempt in run.attempts)
    permit.settle(booked)
    assert rated.scopes[0].used_at(time.monotonic()) == (1, booked)
