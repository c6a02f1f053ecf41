"""Reserve budget for a request before the upstream is called; near a limit this may wait for a grant, never for longer than stated."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from common.contracts.directory import Enforcement, Limits, OrganizationRecord
from gateway.domain.budget import Hold, ScopeAccount
from gateway.domain.calendar import Calendar, LocalDay
from gateway.domain.caller import Caller, Record
from gateway.domain.patience import Patience
from gateway.domain.refusals import BudgetUnavailable, Refusal
from gateway.domain.refused_budget import exceeded
from gateway.domain.scopes import BudgetScope, budget_scopes, limits_of_period, scope_of_record
from gateway.domain.standing import Standing, stand
from gateway.outbound.asking import lend
from gateway.outbound.grants import Grants

MOST_KEPT = 50_000
MOST_END_USERS = 100_000
"""Of a project in a period, each with an account of its own in this process: about 200 MB."""

EARLY_MS = 300_000
"""So long before a period ends the first grants of the next one are asked for."""

GRACE_PERCENT = 1
"""Of a limit, shared by the gateways: what the policy `grace` lets pass while nobody can be asked."""


@dataclass(slots=True)
class TakeHold:
    """One per process."""

    grants: Grants
    calendar: Calendar
    _kept: dict[tuple[str, str | None], Standing] = field(default_factory=dict)
    _next_day: dict[str, str] = field(default_factory=dict)

    def standing(self, caller: Caller, day: LocalDay, end_user: str | None) -> Standing:
        """The accounts of a request. Callers are made anew whenever a record of theirs changes: the same one has the same accounts.

        Raises BudgetUnavailable for one end user more than can be kept apart.
        """
        name = (caller.key.key_id, end_user if caller.counts_end_users else None)
        found = self._kept.get(name)
        if found is None or found.caller is not caller or found.day is not day:
            found = self._stand(caller, day, name[1])
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[name] = found
        return found

    def _stand(self, caller: Caller, day: LocalDay, end_user: str | None) -> Standing:
        if end_user is not None:
            self._check_room(caller, day, end_user)
        scopes = budget_scopes(caller, end_user)
        by_the_minute = any(scope.limits.tokens_per_minute is not None for scope in scopes)
        return stand(caller, day, tuple(self._counted(scopes, day)), limits_the_minute=by_the_minute)

    def _counted(self, scopes: Iterable[BudgetScope], day: LocalDay) -> Iterator[tuple[ScopeAccount, Enforcement]]:
        for scope in scopes:
            for period in (day.month, day.day):
                yield self._account(scope.name, scope.scope_id, period, scope.limits), scope.enforcement

    def _account(self, scope: str, scope_id: str, period: str, limits: Limits) -> ScopeAccount:
        tokens, nanousd = limits_of_period(limits, period)
        return self.grants.account(scope, scope_id, period, tokens, nanousd, limits.version)

    def _check_room(self, caller: Caller, day: LocalDay, end_user: str) -> None:
        project_id = caller.project.project_id
        known = bool(self.grants.find("end_user", f"{project_id}/{end_user}"))
        if not known and self.grants.end_users[project_id, day.month] >= MOST_END_USERS:
            raise BudgetUnavailable(
                f"More than {MOST_END_USERS:,} end users of this project have been seen in this month: their limits cannot be kept apart.",
                retry_after=3600,
                limit_source="end_user",
            )

    def prepare_next_day(self, standing: Standing, now_ms: int) -> None:
        """Minutes before a period ends, ask for the first cushions of the next one; once per key and day."""
        ends_at = standing.day.ends_at
        if ends_at - now_ms > EARLY_MS or not standing.limited:
            return
        caller = standing.caller
        if self._next_day.get(caller.key.key_id) == standing.day.day:
            return
        if len(self._next_day) >= MOST_KEPT:
            self._next_day.clear()
        self._next_day[caller.key.key_id] = standing.day.day
        following = Calendar().day(caller.organization.zone_at(ends_at), ends_at)
        for account, _ in self._stand(caller, following, None).limited:
            self.grants.expect(account)

    def prepare(self, record: Record, organization: OrganizationRecord | None) -> None:
        """A record is new or has changed: give back what lowered limits no longer cover, ask for a first cushion."""
        scope = scope_of_record(record)
        for account in self.grants.find(scope.name, scope.scope_id):
            tokens, nanousd = limits_of_period(scope.limits, account.period)
            self.grants.change_limits(account, tokens, nanousd, scope.limits.version)
        if organization is not None and record.status == "active" and not self.grants.is_crowded:
            now = self.grants.now_ms()
            day = self.calendar.day(organization.zone_at(now), now)
            for period in (day.month, day.day):
                if limits_of_period(scope.limits, period) != (None, None):
                    self.grants.expect(self._account(scope.name, scope.scope_id, period, scope.limits))

    def take_now(self, hold: Hold, standing: Standing, tokens: int, nanousd: int) -> bool:
        """Take it if the grants at hand cover it; one synchronous step."""
        if self.grants.is_cut_off and standing.binding:
            return False
        is_usual = standing.all_bind and tokens <= standing.largest_tokens and nanousd <= standing.largest_nanousd
        if is_usual and hold.take_free(tokens, nanousd):
            return True
        if not hold.try_take(tokens, nanousd):
            return False
        self._look(standing, tokens, nanousd)
        return True

    def _look(self, standing: Standing, tokens: int, nanousd: int) -> None:
        """Have those accounts looked at which have come to the point, all of them after the largest hold so far."""
        larger = tokens > standing.largest_tokens or nanousd > standing.largest_nanousd
        if larger:
            standing.largest_tokens = max(tokens, standing.largest_tokens)
            standing.largest_nanousd = max(nanousd, standing.largest_nanousd)
        for account, _ in standing.limited:
            if (
                larger
                or account.settled_tokens + account.reserved_tokens > account.look_at_tokens
                or account.settled_nanousd + account.reserved_nanousd > account.look_at_nanousd
            ):
                self.grants.touched(account, tokens, nanousd)

    async def take(self, hold: Hold, standing: Standing, tokens: int, nanousd: int, patience: Patience) -> str:
        """Take it, waiting for grants where needed; the name of the policy that let it pass without one, or "". What is larger than a
        whole limit is refused at once, whatever the policy.

        Raises QuotaExceeded or BudgetUnavailable.
        """
        while not self.take_now(hold, standing, tokens, nanousd):
            blocking = hold.all_blocking(tokens, nanousd)
            for refuses in (ScopeAccount.is_too_small, self.grants.is_exhausted):  # what never fits before what fits later
                for account in blocking:
                    if refuses(account, tokens, nanousd):
                        raise exceeded(account, tokens, nanousd, standing.zone, time.time())
            if patience.left <= 0 or self.grants.asking.is_silent:
                return self._undecided(hold, standing, blocking, tokens, nanousd)
            # Where nothing blocks, this gateway is cut off from the authority: any answer ends that.
            await lend(patience, self.grants.wait(blocking or standing.binding, tokens, nanousd, patience.left))
        return ""

    def _undecided(self, hold: Hold, standing: Standing, blocking: list[ScopeAccount], tokens: int, nanousd: int) -> str:
        """It is not granted in time. Where the authority has said that it is spent, or just now that others hold it, the budget is the
        reason; where nobody has said so, or nobody answers any more, the project's policy decides.
        """
        if self.grants.asking.is_silent or not blocking:
            for account in blocking or standing.binding:
                self.grants.ask_again(account)
        else:
            for account in blocking:
                if account.is_spent(tokens, nanousd) or self.grants.is_held_elsewhere(account, tokens, nanousd):
                    self.grants.waited_in_vain(account, tokens, nanousd)
                    raise exceeded(account, tokens, nanousd, standing.zone, time.time())
        policy = standing.caller.project.on_no_grant
        if policy == "open" or (policy == "grace" and self._within_grace(standing, tokens, nanousd)):
            hold.force(tokens, nanousd)
            self._look(standing, tokens, nanousd)
            return policy
        raise _unavailable(blocking[0] if blocking else standing.binding[0], tokens, nanousd)

    def _within_grace(self, standing: Standing, tokens: int, nanousd: int) -> bool:
        """Whether every account that refuses stays within its grant and this gateway's share of one percent of its limit. What the
        authority knew to be spent and promised beyond the limit counts: it has raised the grants of those who passed it.
        """
        share = 100 * max(1, self.grants.gateways)
        for account in standing.binding:
            short_tokens, short_nanousd = account.shortfall(tokens, nanousd)
            over_tokens, over_nanousd = account.beyond()
            short_tokens += over_tokens if short_tokens else 0
            short_nanousd += over_nanousd if short_nanousd else 0
            if short_tokens * share > GRACE_PERCENT * (account.limit_tokens or 0) or short_nanousd * share > GRACE_PERCENT * (
                account.limit_nanousd or 0
            ):
                return False
        return True


def _unavailable(account: ScopeAccount, tokens: int, nanousd: int) -> Refusal:
    return BudgetUnavailable(
        "The budget cannot be checked at the moment and what was granted in advance is spent.",
        retry_after=1,
        limit_source=account.limit_name(account.short_unit(tokens, nanousd)),
        scope=account.scope,
        scope_id=account.scope_id,
    )
