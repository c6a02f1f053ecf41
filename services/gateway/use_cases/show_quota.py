"""Show where the caller's budget stands: what usage last said of the ledger, and what this gateway holds and may still spend."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from common.contracts.directory import Enforcement
from common.contracts.events import QuotaState
from common.contracts.periods import period_end
from common.contracts.prices import ModelPrice
from gateway.domain.budget import ScopeAccount
from gateway.domain.calendar import Calendar, LocalDay, is_long_over
from gateway.domain.caller import Caller
from gateway.domain.limit_views import held_here, rate_views, text_of
from gateway.domain.overspend import overspend_bound
from gateway.domain.scopes import budget_scopes, limits_of_period
from gateway.use_cases.take_hold import TakeHold
from gateway.use_cases.take_rate import TakeRate

SWEEP_SECONDS = 3600.0


@dataclass(slots=True)
class QuotaStates:
    """The last quota state of each scope and period, as usage published it; periods long over are forgotten."""

    by_period: dict[str, dict[tuple[str, str], QuotaState]] = field(default_factory=dict)
    _sweep_at: float = 0.0

    def take(self, state: QuotaState) -> None:
        """Keep it if it is newer."""
        now = time.time()
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            self.forget_ended(now)
        states = self.by_period.setdefault(state.period, {})
        name = (state.scope, state.scope_id)
        known = states.get(name)
        if known is None or known.as_of <= state.as_of:
            states[name] = state

    def forget_ended(self, now: float) -> None:
        """Drop what belongs to periods that have been over for two days (`now` in Unix seconds)."""
        for period in [period for period in self.by_period if is_long_over(period, now)]:
            del self.by_period[period]

    def find(self, scope: str, scope_id: str, period: str) -> QuotaState | None:
        """The last state heard of it."""
        return self.by_period.get(period, {}).get((scope, scope_id))


@dataclass(frozen=True, slots=True)
class ShowQuota:
    """One per process. `dearest`: no model that this gateway reaches costs more; `most_in_flight`: requests that it answers at once."""

    take_hold: TakeHold
    take_rate: TakeRate
    states: QuotaStates
    calendar: Calendar
    dearest: ModelPrice
    most_in_flight: int

    def __call__(self, caller: Caller, address: str, end_user: str | None = None) -> dict[str, Any]:
        """JSON-ready: budgets of everything that counts and limits per minute, those of the client's address among them, with the
        bound on overspending. `end_user`: with the limits of that one, of whose budgets nothing is kept for it.
        """
        now_ms = self.take_hold.grants.now_ms()
        day = self.calendar.day(caller.organization.zone_at(now_ms), now_ms)
        standing = self.take_hold.standing(caller, day, None)
        # The project's month first, whether it has a limit or not; of the others those that have one.
        first = standing.accounts[0]
        shown = [(first, caller.project.enforcement), *(pair for pair in standing.limited if pair[0] is not first)]
        if end_user is not None:
            shown += self._of_end_user(caller, day, end_user)
        now = time.monotonic()
        rated = self.take_rate.rated(caller, end_user, address).rated
        gateways = self.take_hold.grants.gateways
        return {
            "object": "list",
            "data": [self._describe(account, enforcement, standing.zone) for account, enforcement in shown],
            "rate_limits": [view for scope, enforcement in rated for view in rate_views(scope, enforcement, now)],
            "overspend_bound": overspend_bound(caller, self.dearest, most_in_flight=self.most_in_flight * gateways),
        }

    def _of_end_user(self, caller: Caller, day: LocalDay, end_user: str) -> Iterator[tuple[ScopeAccount, Enforcement]]:
        for scope in budget_scopes(caller, end_user):
            for period in (day.month, day.day):
                limits = limits_of_period(scope.limits, period)
                if scope.name == "end_user" and limits != (None, None):
                    known = self.take_hold.grants.accounts.get((scope.name, scope.scope_id, period))
                    yield (
                        known or ScopeAccount(scope.name, scope.scope_id, period, *limits, scope.limits.version),
                        scope.enforcement,
                    )

    def _describe(self, account: ScopeAccount, enforcement: Enforcement, zone: str) -> dict[str, Any]:
        used_tokens, used_nanousd, as_of = self._used(account)
        return {
            "object": "quota",
            "scope": account.scope,
            "scope_id": account.scope_id,
            "period": account.period,
            "enforcement": enforcement,
            "resets_at": text_of(period_end(account.period, zone)),
            "limit_tokens": account.limit_tokens,
            "limit_nanousd": account.limit_nanousd,
            "used_tokens": used_tokens,
            "used_nanousd": used_nanousd,
            "as_of": as_of,
            "this_gateway": held_here(account),
        }

    def _used(self, account: ScopeAccount) -> tuple[int | None, int | None, int | None]:
        """Tokens, nano-USD and when that was so (Unix milliseconds): as published, or before anything was published to this process as
        last answered; None if neither has been heard.
        """
        state, answer = self.states.find(account.scope, account.scope_id, account.period), account.answer
        if state is not None:
            return state.used_tokens, state.used_nanousd, state.as_of
        if answer is not None:
            ago_ms = int((time.monotonic() - account.answered_at) * 1000)
            return answer.used_tokens, answer.used_nanousd, self.take_hold.grants.now_ms() - ago_ms
        return None, None, None
