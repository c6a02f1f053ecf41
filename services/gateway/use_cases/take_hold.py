"""Reserve budget for a request before the upstream is called; near a limit this may wait for a grant, never for longer than stated."""

import time
from dataclasses import dataclass

from common.contracts.directory import ProjectRecord
from common.contracts.periods import period_end
from gateway.domain.budget import Hold, ScopeAccount
from gateway.domain.calendar import LocalDay
from gateway.domain.caller import Caller
from gateway.domain.estimate import Estimate
from gateway.domain.refusals import BudgetUnavailable, QuotaExceeded
from gateway.outbound.grants import Grants


@dataclass(frozen=True, slots=True)
class TakeHold:
    """`wait_seconds` bounds the wait for a grant."""

    grants: Grants
    wait_seconds: float

    def accounts(self, caller: Caller, day: LocalDay) -> tuple[ScopeAccount, ...]:
        """The accounts that a request of this caller counts against, limited or not."""
        return self._accounts(caller.project, day)

    def prepare(self, project: ProjectRecord, day: LocalDay) -> None:
        """A project is new or has changed: give back what lowered limits no longer cover, ask for a first cushion."""
        limits = project.limits
        self.grants.limits_changed(
            "project", project.project_id, limits.monthly_tokens, limits.monthly_cost_nanousd, limits.version
        )
        limited = limits.monthly_tokens is not None or limits.monthly_cost_nanousd is not None
        if limited and project.status == "active" and not self.grants.is_crowded:
            for account in self._accounts(project, day):
                self.grants.expect(account)

    def _accounts(self, project: ProjectRecord, day: LocalDay) -> tuple[ScopeAccount, ...]:
        limits = project.limits
        return (
            self.grants.account(
                "project",
                project.project_id,
                day.month,
                limits.monthly_tokens,
                limits.monthly_cost_nanousd,
                limits.version,
            ),
        )

    def take_now(self, hold: Hold, estimate: Estimate) -> bool:
        """Take it if the grants at hand cover it; one synchronous step."""
        if not hold.try_take(estimate.tokens, estimate.nanousd):
            return False
        for account in hold.accounts:
            self.grants.touched(account, estimate.tokens, estimate.nanousd)
        return True

    async def take(self, hold: Hold, estimate: Estimate, caller: Caller) -> None:
        """Take it, waiting for a grant where needed. Raises QuotaExceeded or BudgetUnavailable."""
        if self.take_now(hold, estimate):
            return
        deadline = time.monotonic() + self.wait_seconds
        while True:
            blocking = next(account for account in hold.accounts if not account.fits(estimate.tokens, estimate.nanousd))
            if self.grants.is_exhausted(blocking, estimate.tokens, estimate.nanousd):
                raise _exceeded(blocking, estimate, caller)
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._undecided(blocking, estimate, caller)
            await self.grants.wait(blocking, estimate.tokens, estimate.nanousd, left)
            if self.take_now(hold, estimate):
                return

    def _undecided(self, account: ScopeAccount, estimate: Estimate, caller: Caller) -> Exception:
        """No answer in time: the last one counts if it is an exhausted one, otherwise nobody knows."""
        answer = account.answer
        if answer is not None and answer.status == "exhausted":
            return _exceeded(account, estimate, caller)
        return BudgetUnavailable(
            "The budget cannot be checked at the moment and what was granted in advance is spent.",
            retry_after=1,
            scope=account.scope,
            scope_id=account.scope_id,
        )


def _exceeded(account: ScopeAccount, estimate: Estimate, caller: Caller) -> QuotaExceeded:
    """The refusal that a client can act on: which limit, how much of it is used and held, when it begins anew."""
    answer = account.answer
    tokens_short = account.shortfall(estimate.tokens, 0)[0] > 0
    unit = "tokens" if tokens_short else "nanousd"
    limit = account.limit_tokens if tokens_short else account.limit_nanousd
    used = held = 0
    if answer is not None:
        used, held = (answer.used_tokens, answer.held_tokens) if tokens_short else (answer.used_nanousd, answer.held_nanousd)
    resets_at = period_end(account.period, caller.organization.time_zone)
    return QuotaExceeded(
        f"This request may need {estimate.tokens if tokens_short else estimate.nanousd} {unit}, more than the monthly budget "
        f"of the {account.scope} has left.",
        retry_after=max(1, min(int(resets_at.timestamp() - time.time()), 3600)),
        limit_source=f"{account.scope}.monthly_{'tokens' if tokens_short else 'cost'}",
        scope=account.scope,
        scope_id=account.scope_id,
        period=account.period,
        unit=unit,
        limit=limit,
        used=used,
        held=held,
        needed=estimate.tokens if tokens_short else estimate.nanousd,
        resets_at=resets_at.isoformat().replace("+00:00", "Z"),
    )
