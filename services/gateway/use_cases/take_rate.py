"""Take a request's part of limits per minute and of concurrency, of everything it counts against; give back what it did not need."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat

from common.contracts.directory import NO_LIMITS, Limits
from gateway.domain.caller import Caller
from gateway.domain.patience import Patience
from gateway.domain.rate_group import Rated, RateGroup
from gateway.domain.rate_headers import headers_of
from gateway.domain.rate_limit import Amount, RateScope
from gateway.domain.refusals import RateLimited
from gateway.domain.refused_rate import rate_exceeded
from gateway.domain.scopes import budget_scopes
from gateway.outbound.asking import lend
from gateway.outbound.rates import Rates

MOST_KEPT = 50_000
PAUSES = (0.005, 0.01, 0.02)
"""Before a request that has been answered and still does not fit is asked for again, meanwhile others return what they do not need."""

RECALL_SECONDS = 2.0
"""After so long, what others have not returned is not to be had, however patient a gateway is told to be."""


class RatePermit:
    """What one request has taken. Settled exactly once; `would_refuse` names limits in shadow mode that it passed, `tokens` are those that
    it counts with, over all its attempts. `_at`: when it was counted, 0 before that and once it is settled; `_tokens_at`: when the last
    of its tokens were.
    """

    __slots__ = ("_at", "_group", "_patience", "_rates", "_tokens_at", "tokens", "would_refuse")

    def __init__(self, group: RateGroup, rates: Rates, patience: Patience) -> None:
        self._group, self._rates, self._patience = group, rates, patience
        self.tokens = 0
        self._at = self._tokens_at = 0.0
        self.would_refuse: tuple[str, ...] = ()

    @property
    def limit_names(self) -> str:
        """The limits that it counts against, as events carry them."""
        return self._group.limit_names

    def take_now(self, requests: int, tokens: int, slots: int) -> bool:
        """Take it if the leases at hand cover it; one synchronous step."""
        now = time.monotonic()
        if self._group.take_free(requests, tokens, slots, now):
            self._remember(requests, tokens, now)
            return True
        amount = Amount(requests, tokens, slots)
        if self._group.covers(amount, now):
            self._count(amount, now)
            return True
        return False

    async def take(self, amount: Amount, *, soon: int = 0) -> None:
        """All or nothing, waiting for leases where that may help. `soon`: tokens that will be taken next, if it is let in.

        Raises RateLimited. Where nobody answers in time, the even share of each gateway counts.
        """
        began, pauses = time.monotonic(), chain((0.0,), PAUSES, repeat(PAUSES[-1]))
        while lacking := self._lacking(amount):
            now = time.monotonic()
            for scope in lacking:
                if limit := scope.refused_by(amount, now):
                    raise self._limited(scope, limit, amount)
            are_answered = all(scope.told_at >= began for scope in lacking)
            if self._patience.left <= 0 or self._rates.asking.is_silent or (are_answered and now - began > RECALL_SECONDS):
                self._take_of_shares(amount, began)
                return
            need = Amount(amount.requests, amount.tokens + soon, amount.slots)
            await lend(self._patience, self._rates.wait(lacking, need, self._patience.left, pause=next(pauses)))
        self._count(amount, time.monotonic())

    def _lacking(self, amount: Amount) -> list[RateScope]:
        """The scopes whose lease does not cover it, and that would refuse; nearly always none."""
        now = time.monotonic()
        found: list[RateScope] = []
        for scope, enforcement in self._group.rated:
            if enforcement == "hard":
                if scope.lacking(amount, now):
                    found.append(scope)
            elif enforcement == "shadow" and (limit := scope.passed_by(amount, now)):
                name = f"{scope.scope}.{limit}"
                if name not in self.would_refuse:
                    self.would_refuse = (*self.would_refuse, name)
        return found

    def _take_of_shares(self, amount: Amount, began: float) -> None:
        """Nobody has said in time how much is ours."""
        now = time.monotonic()
        for scope in self._lacking(amount):
            if limit := scope.lacking_after_wait(amount, now, began=began, part=self._rates.part):
                if scope.told_at >= began:
                    scope.waited_in_vain(now)
                raise self._limited(scope, limit, amount)
        self._rates.degraded += 1
        self._count(amount, now)

    def _count(self, amount: Amount, now: float) -> None:
        for scope in self._group.use(amount, now):
            self._rates.ask_ahead(scope)
        self._remember(amount.requests, amount.tokens, now)

    def _remember(self, requests: int, tokens: int, now: float) -> None:
        if requests:
            self._at = now
        if tokens:
            self.tokens, self._tokens_at = self.tokens + tokens, now

    async def take_tokens(self, tokens: int) -> None:
        """Count so many more tokens. Raises RateLimited."""
        if not self.take_now(0, tokens, 0):
            await self.take(Amount(tokens=tokens))

    def withdraw(self) -> None:
        """The request was refused by something else before anybody was called: it has used nothing."""
        if self._at:
            self._group.take_back_request(self._at)
        self.settle(0)

    def settle(self, tokens: int) -> None:
        """Free the slots, correct the tokens to what they were; a second call changes nothing. Corrected downwards are only those that were
        counted last: an attempt that another one followed has come to what was counted for it.
        """
        if self._at:
            self._at = 0.0
            self._group.end(tokens - self.tokens, self._tokens_at or time.monotonic())

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Where the tightest limits stand, in OpenAI's names."""
        return headers_of(self._group.header_lines_now(time.monotonic()))

    def header_lines(self) -> bytes:
        """The same as lines."""
        return self._group.header_lines(time.monotonic())

    def _limited(self, scope: RateScope, limit: str, amount: Amount) -> RateLimited:
        refusal = rate_exceeded(scope, limit, amount, time.monotonic(), time.time())
        refusal.headers = self.headers()
        return refusal


@dataclass(slots=True)
class TakeRate:
    """`by_address` are the limits of every client address."""

    rates: Rates
    by_address: Limits
    _kept: dict[tuple[str, str | None, str], tuple[Caller, int, RateGroup]] = field(default_factory=dict)

    def rated(self, caller: Caller, end_user: str | None, address: str) -> RateGroup:
        """What has such limits of all that a request counts against; nothing for most."""
        name = (caller.key.key_id, end_user if caller.counts_end_users else None, "" if self.by_address is NO_LIMITS else address)
        found = self._kept.get(name)
        if found is None or found[0] is not caller or found[1] != self.rates.generation:
            found = (caller, self.rates.generation, RateGroup(tuple(self._rated(caller, name[1], name[2]))))
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[name] = found
        return found[2]

    def _rated(self, caller: Caller, end_user: str | None, address: str) -> Iterator[Rated]:
        for scope in budget_scopes(caller, end_user):
            if _has_rates(scope.limits):
                yield self.rates.scope(scope.name, scope.scope_id, scope.limits), scope.enforcement
        if address:
            yield self.rates.scope("ip", address, self.by_address), "hard"

    def permit(self, group: RateGroup, patience: Patience) -> RatePermit:
        """Nothing is taken yet."""
        return RatePermit(group, self.rates, patience)


def _has_rates(limits: Limits) -> bool:
    return limits.requests_per_minute is not None or limits.tokens_per_minute is not None or limits.concurrency is not None
