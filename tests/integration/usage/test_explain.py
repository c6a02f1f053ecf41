"""Gateways ask what became of a request: the event as booked, and only for the project that made it."""

import msgspec

from common.contracts.events import Attempt, Decision, ExplainAnswer, ExplainAsk
from common.contracts.identifiers import uuid7
from common.contracts.subjects import EXPLAIN_ASK
from tests.integration.usage.conftest import Books, UsageProcess, eventually
from tests.integration.usage.gateway_side import GatewaySide, make_event


async def test_a_booked_request_is_told_as_it_was_reported(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """With its attempts and its decision; for another project, or an unknown id, there is nothing."""
    project, boot = uuid7(), uuid7()
    event = make_event(
        project,
        boot,
        owner_id="ada",
        tags={"team": "a"},
        attempts=(Attempt(number=1, upstream="u", model="sim-fast-1", outcome="ok", http_status=200),),
        decision=Decision(mode="sliced", tier="named in the request", would_refuse=("key.daily_cost",), slices=3),
    )
    await gateway.ship([event], boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 1", boot))

    async def ask(project_id: str, request_id: str) -> ExplainAnswer:
        body = msgspec.json.encode(ExplainAsk(project_id=project_id, request_id=request_id))
        answer = await gateway.gateway.request(EXPLAIN_ASK, body, timeout=30)
        return msgspec.json.decode(answer.data, type=ExplainAnswer)

    assert (await ask(project, event.request_id)).event == event
    assert (await ask(uuid7(), event.request_id)).event is None
    assert (await ask(project, "no\0thing")).event is None
