"""Limits per minute and on concurrency, shared by gateways through leases: what this boot has used, and what it may still use.

The law: over all boots, used in the last 60 seconds + leased ≤ limit, whenever the authority answers. What a boot uses after its
ask comes out of its lease, and its use of the last minute only shrinks by itself; so in any 60 seconds all boots together use no more
than the limit. Pure; `now` is in monotonic seconds.
"""

from collections import deque
from dataclasses import dataclass

from common.contracts.directory import Enforcement, Limits
from common.contracts.rates import RateAnswer, RateAsk

WINDOW = 60
TICK_SECONDS = 1.0
SILENT_SECONDS = 2.0
"""So long without an answer, a boot falls back to its even share of the limit."""

BUSY_SECONDS = 3.0
"""A lease is to last for so long at the present pace; untouched for so long, a scope wants nothing any more."""

QUARTER = 4
LEAST_WANTED = 4


@dataclass(frozen=True, slots=True)
class Amount:
    """Requests and tokens of a minute, and requests in flight."""

    requests: int = 0
    tokens: int = 0
    slots: int = 0


NOTHING = Amount()


class Window:
    """Use of the last 60 seconds, by the second: an amount counts until a whole minute has passed over its second."""

    __slots__ = ("_buckets", "requests", "tokens")

    def __init__(self) -> None:
        self._buckets: deque[list[int]] = deque()
        self.requests = self.tokens = 0

    def add(self, requests: int, tokens: int, now: float) -> None:
        """Count it in the second that is now."""
        second = int(now)
        if not self._buckets or self._buckets[-1][0] != second:
            self.slide(now)
            self._buckets.append([second, 0, 0])
        bucket = self._buckets[-1]
        bucket[1] += requests
        bucket[2] += tokens
        self.requests += requests
        self.tokens += tokens

    def correct(self, tokens: int, at: float) -> None:
        """Tokens more or less in the second they were counted in; nothing if that has left the window."""
        second = int(at)
        for bucket in reversed(self._buckets):
            if bucket[0] == second:
                change = max(tokens, -bucket[2])
                bucket[2] += change
                self.tokens += change
                return

    def slide(self, now: float) -> None:
        """Forget what is older than a minute."""
        buckets = self._buckets
        while buckets and buckets[0][0] < int(now) - WINDOW:
            _, requests, tokens = buckets.popleft()
            self.requests -= requests
            self.tokens -= tokens

    def seconds_until(self, requests: int, tokens: int, now: float) -> float:
        """Until so many requests and tokens have left the window."""
        for second, counted_requests, counted_tokens in self._buckets:
            requests -= counted_requests
            tokens -= counted_tokens
            if requests <= 0 and tokens <= 0:
                return max(0.0, second + WINDOW + 1 - now)
        return float(WINDOW)


class RateScope:
    """One owner of limits at this boot. `limit_*` None = no limit in that unit.

    `others`: what other boots have used or leased, as last heard; only shown. `in_flight`: an ask is under way.
    """

    __slots__ = (
        "_base",
        "_lease",
        "_lease_until",
        "_may_requests",
        "_may_slots",
        "_may_tokens",
        "_requests",
        "_shaped",
        "_silent_since",
        "_tokens",
        "asked_at",
        "enforcement",
        "in_flight",
        "limit_requests",
        "limit_slots",
        "limit_tokens",
        "limit_version",
        "others",
        "scope",
        "scope_id",
        "seq",
        "slots",
        "touched_at",
        "window",
    )

    def __init__(self, scope: str, scope_id: str, now: float) -> None:
        self.scope, self.scope_id = scope, scope_id
        self.enforcement: Enforcement = "hard"
        self.limit_requests: int | None = None
        self.limit_tokens: int | None = None
        self.limit_slots: int | None = None
        self.limit_version = -1
        self.window = Window()
        self.slots = 0
        self.others = NOTHING
        self.seq = 0
        self.in_flight = False
        self.asked_at = 0.0
        self.touched_at = now
        self._requests = self._tokens = 0  # all that was ever counted
        self._base = self._shaped = NOTHING
        self._lease = NOTHING
        self._lease_until = 0.0
        self._may_requests = self._may_tokens = self._may_slots = 0  # how far the counts may go on the lease
        self._silent_since: float | None = None

    def adopt(self, limits: Limits, enforcement: Enforcement) -> None:
        """Limits as the directory has them; a lease on older ones is void."""
        self.enforcement = enforcement
        if limits.version > self.limit_version:
            self.limit_version = limits.version
            self.limit_requests = limits.requests_per_minute
            self.limit_tokens = limits.tokens_per_minute
            self.limit_slots = limits.concurrency
            self._lease_until = 0.0

    def left(self, now: float) -> Amount:
        """What may be used now: of the lease while it is valid, nothing after it."""
        if now >= self._lease_until:
            return NOTHING
        return Amount(self._may_requests - self._requests, self._may_tokens - self._tokens, self._may_slots - self.slots)

    def lacking(self, wanted: Amount, now: float, gateways: int) -> str:
        """The limit in which so much more does not fit; "" if it fits. Without an authority, an even share is what there is."""
        if self._silent_since is not None and self.is_degraded(now):
            return self._lacking_of_share(wanted, now, gateways)
        leased = now < self._lease_until
        requests, tokens, slots = wanted.requests, wanted.tokens, wanted.slots
        if requests and self.limit_requests is not None and not (leased and self._requests + requests <= self._may_requests):
            return "requests_per_minute"
        if slots and self.limit_slots is not None and not (leased and self.slots + slots <= self._may_slots):
            return "concurrency"
        if tokens and self.limit_tokens is not None and not (leased and self._tokens + tokens <= self._may_tokens):
            return "tokens_per_minute"
        return ""

    def is_degraded(self, now: float) -> bool:
        """Whether nobody has answered for so long that the even share is used."""
        return self._silent_since is not None and now - self._silent_since > SILENT_SECONDS

    def _lacking_of_share(self, wanted: Amount, now: float, gateways: int) -> str:
        self.window.slide(now)
        share = max(1, gateways)
        if wanted.requests and _passes(self.window.requests + wanted.requests, self.limit_requests, share):
            return "requests_per_minute"
        if wanted.slots and _passes(self.slots + wanted.slots, self.limit_slots, share):
            return "concurrency"
        if wanted.tokens and _passes(self.window.tokens + wanted.tokens, self.limit_tokens, share):
            return "tokens_per_minute"
        return ""

    def use(self, amount: Amount, now: float) -> None:
        """Count it, whether it fitted or not."""
        self.touched_at = now
        requests, tokens = amount.requests, amount.tokens
        if requests or tokens:
            self.window.add(requests, tokens, now)
            self._requests += requests
            self._tokens += tokens
        self.slots += amount.slots

    def free_slot(self) -> None:
        """A request has ended."""
        self.slots -= 1

    def correct_tokens(self, tokens: int, counted_at: float) -> None:
        """A request has needed so many tokens more than were counted for it; less is a negative number.

        What an ask has told before is told: only what was counted after it comes back to the lease.
        """
        self.window.correct(tokens, counted_at)
        if tokens > 0 or counted_at >= self.asked_at:
            self._tokens += tokens

    def wants_more(self, now: float) -> bool:
        """Whether to ask ahead: a good part of the lease is used, or it ends soon."""
        if self.in_flight or now - self.asked_at < TICK_SECONDS / QUARTER:
            return False
        if now > self._lease_until - 2 * TICK_SECONDS:
            return True
        left, lease = self.left(now), self._lease
        return (
            (self.limit_requests is not None and 2 * left.requests < lease.requests)
            or (self.limit_tokens is not None and 2 * left.tokens < lease.tokens)
            or (self.limit_slots is not None and 2 * left.slots < lease.slots)
        )

    def is_over(self, now: float) -> bool:
        """Whether there is nothing to tell any more: nothing used in the last minute, nothing in flight, no lease kept."""
        self.window.slide(now)
        used = self.window.requests or self.window.tokens or self.slots
        return not used and not self.in_flight and self._lease == NOTHING

    def shape(self, need: Amount, now: float) -> RateAsk:
        """The next ask: what is used, what is kept of the lease, and how much would do for the next seconds."""
        self.window.slide(now)
        want = self._want(need, now)
        left = self.left(now)
        kept = Amount(
            max(0, min(left.requests, want.requests)), max(0, min(left.tokens, want.tokens)), max(0, min(left.slots, want.slots))
        )
        self._base = self._shaped = Amount(self._requests, self._tokens, self.slots)
        self._hold(kept)
        self.seq += 1
        self.asked_at = now
        self.in_flight = True
        return RateAsk(
            scope=self.scope,
            scope_id=self.scope_id,
            seq=self.seq,
            limit_version=max(0, self.limit_version),
            limit_requests=self.limit_requests,
            limit_tokens=self.limit_tokens,
            limit_slots=self.limit_slots,
            used_requests=self.window.requests,
            used_tokens=self.window.tokens,
            used_slots=self.slots,
            kept_requests=kept.requests,
            kept_tokens=kept.tokens,
            kept_slots=kept.slots,
            want_requests=want.requests,
            want_tokens=want.tokens,
            want_slots=want.slots,
            need_requests=need.requests,
            need_tokens=need.tokens,
            need_slots=need.slots,
        )

    def _want(self, need: Amount, now: float) -> Amount:
        """What the pace since the last ask would use in some seconds; nothing once the scope is left alone."""
        if now - self.touched_at > BUSY_SECONDS and need == NOTHING:
            return NOTHING
        before = self._shaped
        seconds = max(TICK_SECONDS, now - self.asked_at) if self.seq else TICK_SECONDS
        part = BUSY_SECONDS / seconds
        requests = int((self._requests - before.requests) * part)
        tokens = int((self._tokens - before.tokens) * part)
        return Amount(
            max(requests, LEAST_WANTED) + need.requests if self.limit_requests is not None else 0,
            max(0, tokens) + LEAST_WANTED * need.tokens if self.limit_tokens is not None else 0,
            max(self.slots, LEAST_WANTED) + need.slots if self.limit_slots is not None else 0,
        )

    def take(self, answer: RateAnswer, valid_seconds: float) -> None:
        """Adopt a lease; only the answer to the last ask counts."""
        self.in_flight = False
        self._silent_since = None
        if answer.seq != self.seq:
            return
        self._hold(Amount(answer.lease_requests, answer.lease_tokens, answer.lease_slots))
        self._lease_until = self.asked_at + valid_seconds
        self.others = Amount(answer.others_requests, answer.others_tokens, answer.others_slots)

    def _hold(self, lease: Amount) -> None:
        """A lease counts from what had been used when it was asked for."""
        base = self._base
        self._lease = lease
        self._may_requests = base.requests + lease.requests
        self._may_tokens = base.tokens + lease.tokens
        self._may_slots = base.slots + lease.slots

    def not_answered(self, now: float) -> None:
        """An ask has come to nothing; what is kept of the lease stays until its end."""
        self.in_flight = False
        if self._silent_since is None:
            self._silent_since = now

    def limit_of(self, name: str) -> int:
        """By the name that `lacking` gives."""
        found = {
            "requests_per_minute": self.limit_requests,
            "tokens_per_minute": self.limit_tokens,
            "concurrency": self.limit_slots,
        }[name]
        return found or 0


def _passes(wanted: int, limit: int | None, share: int) -> bool:
    return limit is not None and wanted > limit // share
