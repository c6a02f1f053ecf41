"""What a client is told of a request that is over: what it counted against, and what let it in."""

import msgspec
import pytest

from common.contracts.events import Decision
from gateway.use_cases.explain_request import explanation
from tests.unit.gateway.spool_makers import make_end

RATES = "project.requests_per_minute key.concurrency"


@pytest.mark.parametrize(
    ("decision", "verdict"),
    [
        (Decision(), "admitted: nothing limits it"),
        (Decision(limits=RATES), "admitted: its rate limits left room"),
        (Decision(limits="key.tokens_per_minute", mode="sliced"), "admitted: its rate limits left room"),
        (Decision(limits=f"project.monthly {RATES}", mode="strict"), "admitted: the budget covered it"),
        (Decision(limits="project.daily", mode="strict", no_grant="open"), "admitted without a grant: policy open"),
    ],
)
def test_what_let_a_request_in(decision: Decision, verdict: str) -> None:
    """Budgets before limits per minute; that nothing limits it is said only where that is so."""
    assert explanation(msgspec.structs.replace(make_end("a"), decision=decision))["verdict"] == verdict


def test_what_a_dead_gateway_leaves_does_not_tell_its_limits() -> None:
    """So no reason is made up."""
    assert explanation(msgspec.structs.replace(make_end("a"), status="aborted"))["verdict"] == "admitted"


def test_budgets_and_limits_per_minute_are_told_apart() -> None:
    """And which of them refused."""
    decision = Decision(limits=f"project.monthly key.daily {RATES}", limit="key.concurrency", waited_us=9)
    told = explanation(msgspec.structs.replace(make_end("a"), status="refused", decision=decision))
    assert (told["verdict"], told["refused_by"], told["budget"]["waited_us"]) == ("refused", "key.concurrency", 9)
    assert told["budget"]["counted_against"] == ["project.monthly", "key.daily"]
    assert told["rate_limits"]["counted_against"] == ["project.requests_per_minute", "key.concurrency"]
