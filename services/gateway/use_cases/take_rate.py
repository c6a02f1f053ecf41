"""Take a request's part of limits per minute and of concurrency, of everything it counts against; give back what it did not need."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from common.contracts.directory import NO_LIMITS, Limits
from gateway.domain.caller import Caller
from gateway.domain.rate_headers import rate_headers
from gateway.domain.rate_limit import Amount, RateScope
from gateway.domain.refusals import RateLimited
from gateway.domain.scopes import budget_scopes
from gateway.outbound.rates import Rates

MOST_KEPT = 50_000
ONE_REQUEST = Amount(requests=1, slots=1)


class RatePermit:
    """What one request has taken. Settled exactly once; `would_refuse` names limits in shadow mode that it passed."""

    __slots__ = ("_at", "_rates", "_scopes", "_seconds", "_settled", "_tokens", "would_refuse")

    def __init__(self, scopes: tuple[RateScope, ...], rates: Rates, seconds: float) -> None:
        self._scopes, self._rates, self._seconds = scopes, rates, seconds
        self._tokens = 0
        self._at = 0.0
        self._settled = False
        self.would_refuse: tuple[str, ...] = ()

    async def take(self, amount: Amount) -> None:
        """All or nothing, waiting for a lease where one may help. Raises RateLimited."""
        deadline = time.monotonic() + self._seconds
        while True:
            now = time.monotonic()
            blocking, limit = self._blocking(amount, now)
            if blocking is None:
                break
            left = deadline - now
            if left <= 0 or blocking.is_degraded(now) or not _may_help(blocking, amount, limit):
                raise _limited(blocking, limit, amount, now)
            await self._rates.wait(blocking, amount, left)
        for scope in self._scopes:
            scope.use(amount, now)
            self._rates.used(scope, now)
            if scope.is_degraded(now):
                self._rates.degraded += 1

    def _blocking(self, amount: Amount, now: float) -> tuple[RateScope | None, str]:
        for scope in self._scopes:
            limit = scope.lacking(amount, now, self._rates.gateways)
            if not limit or scope.enforcement == "soft":
                continue
            if scope.enforcement == "hard":
                return scope, limit
            name = f"{scope.scope}.{limit}"
            if name not in self.would_refuse:
                self.would_refuse = (*self.would_refuse, name)
        return None, ""

    async def take_tokens(self, tokens: int) -> None:
        """Count so many tokens. Raises RateLimited."""
        await self.take(Amount(tokens=tokens))
        self._tokens, self._at = tokens, time.monotonic()

    def settle(self, tokens: int) -> None:
        """Free the slots, correct the tokens to what they were; a second call changes nothing."""
        if self._settled:
            return
        self._settled = True
        for scope in self._scopes:
            scope.free_slot()
            if tokens != self._tokens:
                scope.correct_tokens(tokens - self._tokens, self._at or time.monotonic())

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Where the tightest limits stand, in OpenAI's names."""
        return rate_headers(self._scopes, time.monotonic())


@dataclass(slots=True)
class TakeRate:
    """`wait_seconds` bounds the wait for a lease; `by_address` are the limits of every client address."""

    rates: Rates
    wait_seconds: float
    by_address: Limits
    _kept: dict[tuple[str, str | None], tuple[Caller, int, tuple[RateScope, ...]]] = field(default_factory=dict)

    def scopes(self, caller: Caller, end_user: str | None, address: str) -> tuple[RateScope, ...]:
        """What has such limits of all that a request counts against; () for most."""
        name = (caller.key.key_id, end_user if caller.counts_end_users else None)
        found = self._kept.get(name)
        if found is None or found[0] is not caller or found[1] != self.rates.generation:
            found = (caller, self.rates.generation, self._scopes(caller, name[1]))
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[name] = found
        if self.by_address is NO_LIMITS or not address:
            return found[2]
        return (*found[2], self.rates.scope("ip", address, self.by_address, "hard"))

    def _scopes(self, caller: Caller, end_user: str | None) -> tuple[RateScope, ...]:
        return tuple(
            self.rates.scope(scope.name, scope.scope_id, scope.limits, scope.enforcement)
            for scope in budget_scopes(caller, end_user)
            if _has_rates(scope.limits)
        )

    async def admit(self, scopes: tuple[RateScope, ...]) -> RatePermit:
        """One request and one slot in all of them. Raises RateLimited."""
        permit = RatePermit(scopes, self.rates, self.wait_seconds)
        await permit.take(ONE_REQUEST)
        return permit


def _has_rates(limits: Limits) -> bool:
    return limits.requests_per_minute is not None or limits.tokens_per_minute is not None or limits.concurrency is not None


def _may_help(scope: RateScope, amount: Amount, limit: str) -> bool:
    """Whether the limit as such leaves room for it: otherwise no lease will."""
    others = scope.others
    used, others_used, wanted = {
        "requests_per_minute": (scope.window.requests, others.requests, amount.requests),
        "tokens_per_minute": (scope.window.tokens, others.tokens, amount.tokens),
        "concurrency": (scope.slots, others.slots, amount.slots),
    }[limit]
    return used + others_used + wanted <= scope.limit_of(limit)


def _limited(scope: RateScope, limit: str, amount: Amount, now: float) -> RateLimited:
    """The refusal, with what a client can act on."""
    window = scope.window
    window.slide(now)
    by_tokens = limit == "tokens_per_minute"
    used, held = {
        "requests_per_minute": (window.requests, scope.others.requests),
        "tokens_per_minute": (window.tokens, scope.others.tokens),
        "concurrency": (scope.slots, scope.others.slots),
    }[limit]
    seconds = 1.0 if limit == "concurrency" else window.seconds_until(amount.requests, amount.tokens, now)
    refusal = RateLimited(
        f"Limit reached: {scope.limit_of(limit)} {limit.replace('_', ' ')} of the {scope.scope.replace('_', ' ')}.",
        retry_after=max(1, -int(-seconds // 1)),
        limit_source=f"{scope.scope}.{limit}",
        scope=scope.scope,
        scope_id=scope.scope_id,
        limit=scope.limit_of(limit),
        used=used,
        held=held,
        needed=amount.tokens if by_tokens else 1,
        resets_at=datetime.fromtimestamp(time.time() + seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    )
    refusal.type = "tokens" if by_tokens else "requests"
    return refusal
