"""By how much a project's budgets may be overspent at the most, in tokens and in money: the bound that its mode promises."""

from typing import Any

from common.contracts.prices import TOKENS_PER_RATE, ModelPrice
from gateway.domain.caller import Caller
from gateway.domain.estimate import SLICE_TOKENS

BESIDES = "as much again for every further choice (n), and what prompts and hidden reasoning were underestimated by"


def overspend_bound(caller: Caller, dearest: ModelPrice, *, most_in_flight: int) -> dict[str, Any]:
    """JSON-ready. `most_in_flight`: requests that all gateways together answer at once, where no limit of the caller's refuses more.

    Strict: nothing. Otherwise what each request under way may need beyond its hold (per choice), times the requests under way.
    """
    mode = caller.project.budget_mode
    limits = [owner.limits.concurrency for owner in (caller.project, caller.organization) if owner.enforcement == "hard"]
    at_once = min([limit for limit in limits if limit is not None], default=most_in_flight)
    each = {"strict": 0, "sliced": SLICE_TOKENS, "expected": dearest.max_output_tokens}[mode]
    each_nanousd = -(-each * dearest.output // TOKENS_PER_RATE)
    return {
        "mode": mode,
        "per_request_tokens": each,
        "per_request_nanousd": each_nanousd,
        "requests_at_once": at_once if each else 0,
        "tokens": each * at_once,
        "nanousd": each_nanousd * at_once,
        "besides": None if mode == "strict" else BESIDES,
    }
