"""A call that ends as nobody has foreseen, after its request was sent: with our own client, a real upstream and a real spool."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from scripted_upstream import CHUNKED, OK, PATIENT, Upstream, Wire, eventually
from tests.unit.gateway.spool_makers import open_spool
from tests.unit.gateway.test_plan_request import PRICED, make_caller, make_plan, make_take_hold, plan

from conftest import ClientFactory, Serve
from gateway.domain.run import Run
from gateway.domain.upstream_health import Health
from gateway.outbound.upstream.client import UpstreamClient
from gateway.use_cases.call_upstream import CallUpstream, RetryPolicy

ENDINGS = [
    (RuntimeError("nobody has thought of it"), "internal_error"),
    (GeneratorExit(), "internal_error"),
    (asyncio.CancelledError(), "cancelled"),
]


async def to_be_left(wire: Wire) -> None:
    """Answers the first request of a connection, says the head of an answer to the second, and is silent then."""
    await wire.request()
    await wire.say(OK)
    await wire.request()
    await wire.say(CHUNKED)
    await wire.until_closed()


async def waiting_for_the_rest(call: Coroutine[Any, Any, object], upstream: Upstream) -> None:
    """Drives a call by hand until its request has arrived and it waits for an answer, or for more of it."""
    waits_for = call.send(None)
    await eventually(lambda: len(upstream.requests) == 2)
    while waits_for is not None and waits_for.done():
        waits_for = call.send(None)


def make_call(client: UpstreamClient, upstream: Upstream, folder: Path) -> CallUpstream:
    targets = {PRICED.upstream: upstream.target()}
    policy = RetryPolicy(timeouts=PATIENT)
    return CallUpstream(client, targets, Health(), make_take_hold(), open_spool(folder), policy, lambda _: True)


def make_run(*, stream: bool) -> Run:
    run = plan(make_plan(), make_caller(), stream=stream, max_tokens=50)
    run.plan = [PRICED, PRICED]
    return run


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("ending", "outcome"), ENDINGS, ids=str)
async def test_an_attempt_that_may_have_been_sent_keeps_its_hold(
    own_client: ClientFactory, serve: Serve, tmp_path: Path, stream: bool, ending: BaseException, outcome: str
) -> None:
    """Whatever is raised where it waits: the model may be at work, so it is not free, and it is not tried again."""
    client, upstream, run = own_client(), await serve(to_be_left), make_run(stream=stream)
    await client.send(upstream.target(), [], b"", PATIENT)
    calling = make_call(client, upstream, tmp_path)
    call = calling.opened(run) if stream else calling.whole(run)
    await waiting_for_the_rest(call, upstream)
    with pytest.raises(type(ending)):
        call.throw(ending)
    (attempt,) = run.attempts
    assert (attempt.outcome, attempt.usage_source) == (outcome, "estimated")
    assert attempt.cost_nanousd == run.estimate.nanousd > 0
    assert attempt.usage.completion_tokens == run.estimate.completion_tokens == 50
