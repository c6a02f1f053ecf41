"""Say beforehand what a request would be: tokens, tier, model, price, every limit it touches, and whether it would be let in."""

import time
from dataclasses import dataclass
from typing import Any

from common.contracts.events import Usage
from common.contracts.periods import period_end
from gateway.domain.budget import ScopeAccount
from gateway.domain.caller import Caller
from gateway.domain.estimate import refuse_hidden_inputs
from gateway.domain.grant_pace import unpromised
from gateway.domain.refusals import BadRequest
from gateway.domain.run import Run
from gateway.outbound.grants import Grants
from gateway.use_cases.plan_request import PlanRequest


@dataclass(frozen=True, slots=True)
class EstimateRequest:
    """Holds nothing and calls nobody but the budget's authority, for at most `wait_seconds`."""

    plan: PlanRequest
    grants: Grants
    wait_seconds: float

    async def __call__(self, caller: Caller, body: bytes, asked_tier: str | None) -> dict[str, Any]:
        """JSON-ready. Raises BadRequest or ModelNotFound, as the request itself would."""
        run = self.plan(caller, body, asked_tier, "/v1/estimate")
        await self._refresh(run.standing.limited)
        limits = [self._describe(account, run) for account in run.standing.limited]
        blocked = [limit["limit_source"] for limit in limits if not limit["fits"] and limit["enforcement"] == "hard"]
        unbounded = _unbounded(run)
        return {
            "object": "estimate",
            "tier": run.route.tier or None,
            "tier_signal": run.tier_signal,
            "models": [candidate.model for candidate in run.route.candidates],
            "budget_mode": run.mode or None,
            "counted_by": run.estimate.how,
            "prompt_tokens": run.estimate.prompt_tokens,
            "output_cap": run.estimate.cap,
            "held_tokens": run.estimate.tokens,
            "held_nanousd": run.estimate.nanousd,
            "price": _price_range(run),
            "limits": limits,
            "verdict": "unbounded" if unbounded else "refused" if blocked else "admitted",
            "refused_by": unbounded or blocked or None,
        }

    async def _refresh(self, accounts: tuple[ScopeAccount, ...]) -> None:
        """Hear from the authority how they stand; what cannot be heard in time is shown as last known."""
        over = time.monotonic() + self.wait_seconds
        for account in accounts:
            left = over - time.monotonic()
            if left > 0 and not self.grants.is_silent:
                await self.grants.wait(account, 0, 0, left)

    def _describe(self, account: ScopeAccount, run: Run) -> dict[str, Any]:
        answer = account.answer
        pool_tokens, pool_nanousd = unpromised(answer) if answer is not None else (0, 0)
        own_tokens, own_nanousd = account.headroom()
        estimate = run.estimate
        unit, limit = ("tokens", account.limit_tokens) if account.limit_tokens is not None else ("nanousd", account.limit_nanousd)
        left_tokens = max(0, int(own_tokens + pool_tokens)) if account.limit_tokens is not None else None
        left_nanousd = max(0, int(own_nanousd + pool_nanousd)) if account.limit_nanousd is not None else None
        fits = (left_tokens is None or estimate.tokens <= left_tokens) and (
            left_nanousd is None or estimate.nanousd <= left_nanousd
        )
        if limit is None or (account.limit_nanousd is not None and left_nanousd is not None and estimate.nanousd > left_nanousd):
            unit = "nanousd"
        return {
            "limit_source": account.limit_name(unit),
            "scope": account.scope,
            "scope_id": account.scope_id,
            "period": account.period,
            "resets_at": period_end(account.period, run.caller.organization.time_zone).isoformat().replace("+00:00", "Z"),
            "enforcement": account.enforcement,
            "limit_tokens": account.limit_tokens,
            "limit_nanousd": account.limit_nanousd,
            "used_tokens": answer.used_tokens if answer else None,
            "used_nanousd": answer.used_nanousd if answer else None,
            "headroom_tokens": left_tokens,
            "headroom_nanousd": left_nanousd,
            "fits": fits,
        }


def _unbounded(run: Run) -> list[str]:
    """Inputs that a strict budget refuses whatever is left of it, and a model without a price under a cost limit."""
    refused = []
    if run.standing.binding and run.mode == "strict":
        try:
            refuse_hidden_inputs(run.request, run.fields)
        except BadRequest as problem:
            refused.append(problem.param or problem.code)
    if run.standing.costs_bind and run.route.bound_price is None and run.caller.project.on_unpriced == "deny":
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
