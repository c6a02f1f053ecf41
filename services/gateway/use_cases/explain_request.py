"""Say of a request that is over why it was answered as it was, from what usage has booked."""

from dataclasses import dataclass
from typing import Any

import msgspec

from common.contracts.events import Decision, RequestSettled
from gateway.domain.caller import Caller
from gateway.domain.limit_list import read_limits
from gateway.domain.refusals import ExplanationUnavailable, RequestNotFound
from gateway.outbound.booked_requests import BookedRequests, Unreachable
from gateway.use_cases.limit_questions import LimitQuestions


@dataclass(frozen=True, slots=True)
class ExplainRequest:
    """Not hot: asks usage over the bus."""

    booked: BookedRequests
    limit: LimitQuestions

    async def __call__(self, caller: Caller, request_id: str) -> dict[str, Any]:
        """JSON-ready. Raises RateLimited, RequestNotFound for what is not booked, or another project's, ExplanationUnavailable without
        usage.
        """
        self.limit(caller)
        try:
            event = await self.booked.find(caller.project.project_id, request_id)
        except Unreachable:
            raise ExplanationUnavailable("What became of requests cannot be asked at the moment.", retry_after=1) from None
        if event is None:
            raise RequestNotFound(
                "No such request of this project has been booked. It takes a moment after its end.", retry_after=1
            )
        return explanation(event)


def explanation(event: RequestSettled) -> dict[str, Any]:
    """What a client may know of its own request."""
    decision = event.decision
    budgets, rates = _counted_against(decision)
    return {
        "object": "explanation",
        "request_id": event.request_id,
        "status": event.status,
        "http_status": event.http_status,
        "error_code": event.error_code,
        "admitted_at": event.admitted_at,
        "periods": [event.period_day, event.period_month],
        "verdict": _verdict(event, budgets, rates),
        "refused_by": decision.limit or None,
        "would_refuse": list(decision.would_refuse),
        "tier": event.tier or None,
        "tier_signal": decision.tier,
        "model": event.model,
        "cache": event.cache,
        "cache_reason": decision.cache,
        "budget": {
            "mode": decision.mode or None,
            "counted_against": budgets,
            "counted_by": decision.estimate or None,
            "prompt_estimate": decision.prompt_estimate,
            "output_estimate": decision.output_estimate,
            "held_tokens": event.hold_tokens,
            "held_nanousd": event.hold_nanousd,
            "slices": decision.slices,
            "waited_us": decision.waited_us,
            "without_grant": decision.no_grant or None,
        },
        "rate_limits": {"counted_against": rates},
        "charged": {
            "prompt_tokens": event.prompt_tokens,
            "completion_tokens": event.completion_tokens,
            "cost_nanousd": event.cost_nanousd,
            "usage_source": event.usage_source,
            "cost_status": event.cost_status,
            "saved_tokens": event.saved_tokens,
            "saved_nanousd": event.saved_nanousd,
        },
        "attempts": [msgspec.to_builtins(attempt) for attempt in event.attempts],
    }


def _counted_against(decision: Decision) -> tuple[list[str], list[str]]:
    """The budgets, and the limits per minute and on concurrency."""
    named = read_limits(decision.limits)
    budgets = [name for name in named if name.endswith((".monthly", ".daily"))]
    return budgets, [name for name in named if name not in budgets]


def _verdict(event: RequestSettled, budgets: list[str], rates: list[str]) -> str:
    if event.status == "refused":
        return "refused"
    if event.status == "aborted":
        return "admitted"  # what its gateway left behind does not tell its limits
    if event.decision.no_grant:
        return f"admitted without a grant: policy {event.decision.no_grant}"
    if budgets:
        return "admitted: the budget covered it"
    return "admitted: its rate limits left room" if rates else "admitted: nothing limits it"
