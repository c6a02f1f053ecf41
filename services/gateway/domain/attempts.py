"""What became of one call of an upstream, and what it is charged."""

from typing import Literal

from common.contracts.events import NO_USAGE, Attempt, CostStatus, Usage, UsageSource
from common.contracts.prices import ModelPrice
from gateway.domain.estimate import Estimate
from gateway.domain.routing import Candidate

Fate = Literal["reported", "unbilled", "unknown"]
"""reported: the provider's usage was received. unbilled: it certainly charged nothing. unknown: charged at the hold."""

RETRIABLE_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


def charge(
    number: int,
    candidate: Candidate,
    estimate: Estimate,
    fate: Fate,
    outcome: str,
    *,
    usage: Usage | None = None,
    http_status: int | None = None,
    latency_us: int = 0,
    ttft_us: int | None = None,
    upstream_cost_nanousd: int | None = None,
    stand_in: ModelPrice | None = None,
    seen_output: int = 0,
) -> Attempt:
    """The attempt as it goes into the event: priced with the candidate's rates; when the usage is not known, at its hold, or at what was
    seen of its output where that is more.

    `stand_in`: rates for a candidate without a price, where the project wants it charged all the same; then flagged.
    """
    source: UsageSource
    cost_status: CostStatus
    if fate == "unbilled":
        booked, source, cost, cost_status = NO_USAGE, "none", 0, "none"
    elif fate == "reported" and usage is not None:
        booked, source = usage, "provider"
        if candidate.price is not None:
            cost, cost_status = candidate.price.cost(usage), "exact"
        else:
            cost, cost_status = (stand_in.cost(usage), "estimated") if stand_in else (0, "unpriced")
    else:
        beyond = max(0, seen_output - estimate.completion_tokens)
        booked = Usage(prompt_tokens=estimate.prompt_tokens, completion_tokens=estimate.completion_tokens + beyond)
        source = "estimated"
        held = estimate.nanousd + estimate.output_cost(beyond)
        cost, cost_status = (held, "estimated") if candidate.price or stand_in else (0, "unpriced")
    return Attempt(
        number=number,
        upstream=candidate.upstream,
        model=candidate.model,
        outcome=outcome,
        http_status=http_status,
        usage=booked,
        usage_source=source,
        cost_nanousd=cost,
        cost_status=cost_status,
        upstream_cost_nanousd=upstream_cost_nanousd,
        price=candidate.price_name,
        latency_us=latency_us,
        ttft_us=ttft_us,
    )


_SOURCE_ORDER: dict[UsageSource, int] = {"none": 0, "provider": 1, "estimated": 2}
_COST_ORDER: dict[CostStatus, int] = {"none": 0, "exact": 1, "estimated": 2, "unpriced": 3}


def weakest_source(attempts: list[Attempt]) -> UsageSource:
    """How sure the sum of the attempts is: as sure as its least sure part."""
    if len(attempts) == 1:
        return attempts[0].usage_source
    return max((attempt.usage_source for attempt in attempts), key=_SOURCE_ORDER.__getitem__, default="none")


def weakest_cost(attempts: list[Attempt]) -> CostStatus:
    """As for the source: unpriced outweighs estimated outweighs exact."""
    if len(attempts) == 1:
        return attempts[0].cost_status
    return max((attempt.cost_status for attempt in attempts), key=_COST_ORDER.__getitem__, default="none")
