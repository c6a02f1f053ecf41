"""Say beforehand what a request would be: tokens, tier, model, price, every limit it touches, and whether it would be let in."""

import time
from dataclasses import dataclass
from typing import Any

from common.contracts.directory import Enforcement
from common.contracts.events import Usage
from common.contracts.periods import period_end
from gateway.domain.bounded_inputs import unbounded_inputs
from gateway.domain.budget import ScopeAccount
from gateway.domain.caller import Caller
from gateway.domain.limit_views import rate_views, text_of
from gateway.domain.run import Run
from gateway.outbound.grants import Grants
from gateway.use_cases.limit_questions import LimitQuestions
from gateway.use_cases.plan_request import PlanRequest
from gateway.use_cases.take_rate import TakeRate

Limit = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EstimateRequest:
    """Holds nothing and calls nobody but the budget's authority, for at most `wait_seconds`."""

    plan: PlanRequest
    take_rate: TakeRate
    grants: Grants
    wait_seconds: float
    limit: LimitQuestions

    async def __call__(self, caller: Caller, body: bytes, asked_tier: str | None, address: str) -> dict[str, Any]:
        """JSON-ready; `address` is the client's, for limits that go by it. Raises RateLimited, and BadRequest, ModelNotFound or
        BudgetUnavailable as the request itself would.
        """
        self.limit(caller)
        run = self.plan(caller, body, asked_tier, "/v1/estimate")
        began = time.monotonic()
        if run.standing.limited and not self.grants.asking.is_silent:
            await self.grants.look([account for account, _ in run.standing.limited], self.wait_seconds)
        limits = [
            *(self._budget(account, enforcement, run, began) for account, enforcement in run.standing.limited),
            *self._rates(run, address),
        ]
        verdict, refused_by = _verdict(run, limits)
        estimate = run.estimate
        return {
            "object": "estimate",
            "tier": run.route.tier or None,
            "tier_signal": run.tier_signal,
            "models": [candidate.model for candidate in run.route.candidates],
            "budget_mode": run.mode or None,
            "counted_by": estimate.how,
            "prompt_tokens": estimate.prompt_tokens,
            "output_cap": estimate.cap,
            "held_tokens": estimate.tokens,
            "held_nanousd": estimate.nanousd,
            "price": _price_range(run),
            "limits": limits,
            "verdict": verdict,
            "refused_by": refused_by or None,
        }

    def _rates(self, run: Run, address: str) -> list[Limit]:
        now = time.monotonic()
        views = []
        for scope, enforcement in self.take_rate.rated(run.caller, run.end_user, address).rated:
            for view in rate_views(scope, enforcement, now):
                by_tokens = view["limit_source"].endswith("tokens_per_minute")
                needed = run.estimate.tokens if by_tokens else 1
                returned = view["headroom"] + min(view["held"], scope.idle_of(view["limit_source"].rpartition(".")[2]))
                fits = "yes" if needed <= view["headroom"] else "if others return" if needed <= returned else "no"
                views.append({**view, "needed": needed, "fits": fits})
        return views

    def _budget(self, account: ScopeAccount, enforcement: Enforcement, run: Run, began: float) -> Limit:
        heard = account.answered_at >= began
        spendable = not self.grants.is_cut_off
        tokens = _unit(account, "tokens", run.estimate.tokens, heard=heard, spendable=spendable)
        nanousd = _unit(account, "nanousd", run.estimate.nanousd, heard=heard, spendable=spendable)
        worst = min((unit for unit in (tokens, nanousd) if unit is not None), key=lambda unit: _ORDER.index(unit["fits"]))
        return {
            "limit_source": account.limit_name(worst["unit"]),
            "scope": account.scope,
            "scope_id": account.scope_id,
            "period": account.period,
            "resets_at": text_of(period_end(account.period, run.standing.zone)),
            "enforcement": enforcement,
            "limit_tokens": account.limit_tokens,
            "limit_nanousd": account.limit_nanousd,
            "used_tokens": tokens and tokens["used"],
            "used_nanousd": nanousd and nanousd["used"],
            "headroom_tokens": tokens and tokens["headroom"],
            "headroom_nanousd": nanousd and nanousd["headroom"],
            "fits": worst["fits"],
        }


_ORDER = ("no", "unknown", "if others return", "yes")


def _unit(account: ScopeAccount, unit: str, needed: int, *, heard: bool, spendable: bool) -> dict[str, Any] | None:
    """How one unit stands by the last answer. What other gateways hold and do not need comes back when a request waits for it.

    Where that answer is not `heard` just now, only the grant at hand says yes, if it is still `spendable`.
    """
    in_tokens = unit == "tokens"
    limit = account.limit_tokens if in_tokens else account.limit_nanousd
    if limit is None:
        return None
    own = max(0, account.headroom()[0 if in_tokens else 1])
    answer, used, headroom = account.answer, None, own
    fits = "yes" if spendable and needed <= own else "unknown"
    if answer is not None:
        used, held = (answer.used_tokens, answer.held_tokens) if in_tokens else (answer.used_nanousd, answer.held_nanousd)
        headroom += max(0, limit - used - held)
        if heard:
            fits = "yes" if needed <= headroom else "if others return" if needed <= limit - used else "no"
    if needed > limit:
        fits = "no"
    return {"unit": unit, "used": used, "headroom": headroom, "fits": fits}


def _verdict(run: Run, limits: list[Limit]) -> tuple[str, list[str]]:
    """unbounded | refused | contended (it fits if others return in time what they hold) | unknown (nobody could say) | admitted."""
    unbounded = _unbounded(run)
    if unbounded:
        return "unbounded", unbounded
    hard = [limit for limit in limits if limit["enforcement"] == "hard"]
    for fits, verdict in (("no", "refused"), ("unknown", "unknown"), ("if others return", "contended")):
        named = [limit["limit_source"] for limit in hard if limit["fits"] == fits]
        if named:
            return verdict, named
    return "admitted", []


def _unbounded(run: Run) -> list[str]:
    """Inputs that a strict budget refuses whatever is left of it, and a model without a price under a cost limit."""
    refused = unbounded_inputs(run.request, run.fields) if run.standing.binding and run.mode == "strict" else []
    if run.standing.costs_bind and run.route.has_unpriced and run.caller.project.on_unpriced == "deny":
        refused.append("model")
    return refused


def _price_range(run: Run) -> dict[str, int] | None:
    """From the cheapest candidate with one token of output to the dearest with its whole cap; None if one has no price."""
    prices = [candidate.price for candidate in run.route.candidates if candidate.price is not None]
    if len(prices) < len(run.route.candidates):
        return None
    prompt, most = run.estimate.prompt_tokens, run.estimate.most_output
    return {
        "least_nanousd": min(price.cost(Usage(prompt_tokens=prompt, completion_tokens=1)) for price in prices),
        "most_nanousd": max(price.bound(prompt, most) for price in prices),
    }
