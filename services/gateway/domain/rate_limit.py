"""Limits per minute and on concurrency, shared by gateways through leases: what this boot has used, and what it may still use.

The law: over all boots, used in the last 60 seconds + leased ≤ limit, whenever the authority answers. What a boot uses after its
ask comes out of its lease, and its use of the last minute only shrinks by itself; so in any 60 seconds all boots together use no more
than the limit. Pure; `now` is in monotonic seconds.
"""

import math
from typing import NamedTuple

from common.contracts.directory import Limits
from common.contracts.rates import RateAnswer, RateAsk
from gateway.domain.rate_window import WINDOW, Window

TICK_SECONDS = 1.0
BUSY_SECONDS = 3.0
"""A lease is to last for so long at the present pace; untouched for so long, a scope near its limit wants nothing any more."""

HEARD_SECONDS = 2.0
"""So long, what others use is as it was heard."""

LATELY = 0.25
"""So long, who has waited in vain speaks for whoever comes after it."""

RECALLED_SECONDS = 1.0
"""So long after a recall only what waiting requests need is kept and asked for: anything else would be recalled again at once."""

JUST_TOLD = 0.01
"""What the authority was told so lately is how things stand; a recall that comes then is about older news."""

JUST_NOW = 0.005
"""What was leased an instant ago is somebody's who has not run yet."""

QUARTER = 4
ENDLESS = 1 << 62
LEAST_WANTED = 4
SMALL_PART = 256
"""Far from a limit that part of it is kept at hand, so that a burst after a quiet time need not ask again and again."""


class Amount(NamedTuple):
    """Requests and tokens of a minute, and requests in flight."""

    requests: int = 0
    tokens: int = 0
    slots: int = 0


NOTHING = Amount()
LIMIT_NAMES = ("requests_per_minute", "tokens_per_minute", "concurrency")
"""In the order of amounts."""


class Part(NamedTuple):
    """Which part of a limit one gateway has while nobody shares it out: an even one, and one more for the first `limit` % `gateways`."""

    gateways: int
    rank: int | None

    def of(self, limit: int) -> int:
        """So much of it."""
        even, left = divmod(limit, self.gateways)
        return even + (self.rank is not None and self.rank < left)


WHOLE = Part(1, 0)


class RateScope:
    """One owner of limits at this boot. `limit_*` None = no limit in that unit.

    `requests`, `tokens`: all that was ever counted; `slots`: in flight. Up to the `free_*` of each unit, before `free_until`, a request
    only has to be added to these (domain.rate_group); beyond, somebody has to look, by `use`. What was counted from `since` on is corrected
    by them alone as well.

    `others`: what other boots have used or leased, as heard at `answered_at`, by the answer to an ask of `told_at`; `idle`: so much of it
    may come back when it is recalled. `in_flight`: an ask is under way.
    """

    __slots__ = (
        "_base",
        "_lease",
        "_lease_until",
        "_may_requests",
        "_may_slots",
        "_may_tokens",
        "_most_slots",
        "_noted_requests",
        "_noted_tokens",
        "_recalled_at",
        "_second",
        "_shaped",
        "_typical_tokens",
        "_vain_until",
        "_window",
        "answered_at",
        "asked_at",
        "free_requests",
        "free_slots",
        "free_tokens",
        "free_until",
        "idle",
        "in_flight",
        "limit_requests",
        "limit_slots",
        "limit_tokens",
        "limit_version",
        "others",
        "requests",
        "scope",
        "scope_id",
        "seq",
        "since",
        "slots",
        "tokens",
        "told_at",
        "touched_at",
    )

    def __init__(self, scope: str, scope_id: str, now: float) -> None:
        self.scope, self.scope_id = scope, scope_id
        self.limit_requests: int | None = None
        self.limit_tokens: int | None = None
        self.limit_slots: int | None = None
        self.limit_version = -1
        self.requests = self.tokens = self.slots = 0
        self.free_until = 0.0
        self.free_requests = self.free_tokens = self.free_slots = 0
        self.since = now
        self.others = self.idle = NOTHING
        self.seq = 0
        self.in_flight = False
        self.asked_at = 0.0
        self.answered_at = self.told_at = self._recalled_at = self._vain_until = -math.inf
        self.touched_at = now
        self._window = Window()
        self._noted_requests = self._noted_tokens = 0  # of all that was counted, what the window has
        self._second = int(now)
        self._typical_tokens = self._most_slots = 0
        self._base = self._shaped = NOTHING
        self._lease = NOTHING
        self._lease_until = 0.0
        self._may_requests = self._may_tokens = self._may_slots = 0  # how far the counts may go on the lease

    def adopt(self, limits: Limits) -> None:
        """Limits as the directory has them; a lease on older ones is void."""
        if limits.version > self.limit_version:
            self.limit_version = limits.version
            self.limit_requests = limits.requests_per_minute
            self.limit_tokens = limits.tokens_per_minute
            self.limit_slots = limits.concurrency
            self._lease_until = self.free_until = 0.0

    @property
    def limit_names(self) -> tuple[str, ...]:
        """Those that it has, by the names that `lacking` gives."""
        limits = (self.limit_requests, self.limit_tokens, self.limit_slots)
        return tuple(name for name, limit in zip(LIMIT_NAMES, limits, strict=True) if limit is not None)

    def window_at(self, now: float) -> Window:
        """What was used in the minute before."""
        self._note(now)
        return self._window

    def used_at(self, now: float) -> tuple[int, int]:
        """Requests and tokens of the minute before, of all boots as far as they are known."""
        if now >= self._second + 1:
            self._note(now)
        window, others = self._window, self.others_now(now)
        return (
            window.requests + self.requests - self._noted_requests + others.requests,
            window.tokens + self.tokens - self._noted_tokens + others.tokens,
        )

    def _note(self, now: float) -> None:
        """Everything counted since the last time was counted in the same second."""
        requests, tokens = self.requests - self._noted_requests, self.tokens - self._noted_tokens
        if requests or tokens:
            self._window.add(requests, tokens, self._second)
            self._noted_requests, self._noted_tokens = self.requests, self.tokens
        second = int(now)
        if second > self._second:
            self._second = second
            self._window.slide(second)
            self.since = max(float(second), self.asked_at)

    def left(self, now: float) -> Amount:
        """What may be used now: of the lease while it is valid, nothing after it."""
        if now >= self._lease_until:
            return NOTHING
        return Amount(self._may_requests - self.requests, self._may_tokens - self.tokens, self._may_slots - self.slots)

    def covers(self, wanted: Amount, now: float) -> bool:
        """Whether the lease does, in every unit: the one question that most requests ask."""
        return (
            now < self._lease_until
            and self.requests + wanted.requests <= self._may_requests
            and self.tokens + wanted.tokens <= self._may_tokens
            and self.slots + wanted.slots <= self._may_slots
        )

    def lacking(self, wanted: Amount, now: float) -> str:
        """The limit in which the lease does not cover so much more; "" if it does."""
        leased = now < self._lease_until
        requests, tokens, slots = wanted.requests, wanted.tokens, wanted.slots
        if requests and self.limit_requests is not None and not (leased and self.requests + requests <= self._may_requests):
            return "requests_per_minute"
        if slots and self.limit_slots is not None and not (leased and self.slots + slots <= self._may_slots):
            return "concurrency"
        if tokens and self.limit_tokens is not None and not (leased and self.tokens + tokens <= self._may_tokens):
            return "tokens_per_minute"
        return ""

    def lacking_of_part(self, wanted: Amount, now: float, part: Part) -> str:
        """The same of the part that this gateway has while nobody shares the limit out."""
        return self._passing(wanted, NOTHING, now, part)

    def lacking_after_wait(self, wanted: Amount, now: float, *, began: float, part: Part) -> str:
        """The limit that refuses what has waited since `began` in vain: whichever is passed by all that was heard lately. Else our part
        where nobody has answered since; near the limit the lease, where somebody has. Far from the limit others have only been faster
        here, again and again: no reason to refuse anybody.
        """
        if limit := self.spent_by(wanted, now):
            return limit
        if self.told_at >= began and not self.is_far(now):
            return self.lacking(wanted, now)
        return self.lacking_of_part(wanted, now, part)

    def waited_in_vain(self, now: float) -> None:
        """What others may not need was recalled and has not come back in time: for a moment nobody need wait for it."""
        self._vain_until = now + LATELY

    def spent_by(self, wanted: Amount, now: float) -> str:
        """The limit that so much more passes by what is used here, and used or leased elsewhere; "" if none."""
        return self._passing(wanted, self.others_now(now), now, WHOLE)

    def passed_by(self, wanted: Amount, now: float) -> str:
        """The limit that so much more passes by what is used here and elsewhere, whether it refuses or not; "" if none."""
        return self._passing(wanted, self.used_elsewhere(now)._replace(slots=self.others_now(now).slots), now, WHOLE)

    def refused_by(self, wanted: Amount, now: float) -> str:
        """The limit that refuses so much more without a further question, by what is used here and elsewhere; "" if none. What others may
        not need comes back when a request waits for it, so it counts only where one has just waited in vain.
        """
        if now < self._vain_until:
            return self.spent_by(wanted, now)
        return self._passing(wanted, self.used_elsewhere(now), now, WHOLE)

    def others_now(self, now: float) -> Amount:
        """What others have used or leased, as far as that is known at the moment."""
        return self.others if now - self.answered_at < HEARD_SECONDS else NOTHING

    def used_elsewhere(self, now: float) -> Amount:
        """The same without what others may not need."""
        others, idle = self.others_now(now), self.idle
        if others is NOTHING:
            return NOTHING
        return Amount(others.requests - idle.requests, others.tokens - idle.tokens, others.slots - idle.slots)

    def _passing(self, wanted: Amount, others: Amount, now: float, part: Part) -> str:
        window = self.window_at(now)
        if wanted.requests and _passes(window.requests + others.requests + wanted.requests, self.limit_requests, part):
            return "requests_per_minute"
        if wanted.slots and _passes(self.slots + others.slots + wanted.slots, self.limit_slots, part):
            return "concurrency"
        if wanted.tokens and _passes(window.tokens + others.tokens + wanted.tokens, self.limit_tokens, part):
            return "tokens_per_minute"
        return ""

    def use(self, amount: Amount, now: float) -> bool:
        """Count it, whether it fitted or not. Whether to ask ahead."""
        self._note(now)
        self.touched_at = now
        self.requests += amount.requests
        self.tokens += amount.tokens
        self.slots += amount.slots
        if amount.tokens:
            self._typical_tokens = amount.tokens
        if self.slots > self._most_slots:
            self._most_slots = self.slots
        self._set_free(now)
        return self._may_ask(now) and self.wants_more(now)

    def _may_ask(self, now: float) -> bool:
        return not self.in_flight and now - self.asked_at >= TICK_SECONDS / QUARTER

    def _set_free(self, now: float) -> None:
        """How far counting may go before somebody has to look: within this second, within the lease, and before more is wanted, from the
        moment on in which it may be asked for.
        """
        self.free_until = min(float(self._second + 1), self._lease_until - 2 * TICK_SECONDS)
        self.free_requests, self.free_tokens, self.free_slots = self._may_requests, self._may_tokens, self._may_slots
        if self._may_ask(now):
            requests, tokens, slots = self._lease
            self.free_requests -= (requests + 1) // 2
            self.free_tokens -= (tokens + 1) // 2
            self.free_slots -= (slots + 1) // 2
        elif not self.in_flight:
            self.free_until = min(self.free_until, self.asked_at + TICK_SECONDS / QUARTER)
        self.free_slots = min(self.free_slots, self._most_slots)

    def correct(self, requests: int, tokens: int, counted_at: float) -> None:
        """So many more, or less by a negative number, than were counted then. What an ask has told before is told: only what was counted
        after it comes back to the lease.
        """
        if counted_at < self.since:
            self._window.correct(requests, tokens, int(counted_at))
            if counted_at < self.asked_at:
                requests, tokens = max(0, requests), max(0, tokens)
            self._noted_requests += requests
            self._noted_tokens += tokens
        self.requests += requests
        self.tokens += tokens

    def wants_more(self, now: float) -> bool:
        """Whether a good part of the lease is used, or it ends soon."""
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
        window = self.window_at(now)
        used = window.requests or window.tokens or self.slots
        return not used and not self.in_flight and self._lease == NOTHING

    def shape(self, need: Amount, now: float, number: int) -> RateAsk:
        """The next ask: what is used, what is kept of the lease, and how much would do for the next seconds. `number` rises."""
        window = self.window_at(now)
        left = self.left(now)
        recalled = now - self._recalled_at < RECALLED_SECONDS and now - self.answered_at > JUST_NOW
        want = need if recalled else self._want(need, now)
        kept = Amount(
            max(0, min(left.requests, want.requests)), max(0, min(left.tokens, want.tokens)), max(0, min(left.slots, want.slots))
        )
        self._base = self._shaped = Amount(self.requests, self.tokens, self.slots)
        self._hold(kept)
        self._most_slots = max(self.slots, self._most_slots * 3 // 4)  # fades
        self.seq = number
        self.asked_at = self.since = now
        self.in_flight = True
        self._set_free(now)
        return RateAsk(
            scope=self.scope,
            scope_id=self.scope_id,
            seq=self.seq,
            limit_version=max(0, self.limit_version),
            limit_requests=self.limit_requests,
            limit_tokens=self.limit_tokens,
            limit_slots=self.limit_slots,
            used_requests=window.requests,
            used_tokens=window.tokens,
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

    def recall(self, now: float) -> bool:
        """Somebody waits for what is not needed here: the next ask gives it back. False if that has been told just now."""
        if now - self.asked_at <= JUST_TOLD:
            return False
        self._recalled_at = now
        return True

    def _want(self, need: Amount, now: float) -> Amount:
        """What the pace since the last ask would use in some seconds, and a few requests at the least; far from the limit as much as the
        last minute has seen, so that a burst like it waits for nobody.

        Left alone, it keeps a few ready for a minute, but only far from the limit: there others need what lies here.
        """
        far = self._far(now)
        few = (
            _few(LEAST_WANTED, self.limit_requests if far[0] else None),
            _few(LEAST_WANTED * self._typical_tokens, self.limit_tokens if far[1] else None),
            _few(LEAST_WANTED, self.limit_slots if far[2] else None),
        )
        if now - self.touched_at > BUSY_SECONDS and need == NOTHING:
            idle = now - self.touched_at > WINDOW
            return Amount(*(0 if idle or not is_far else amount for is_far, amount in zip(far, few, strict=True)))
        before = self._shaped
        seconds = max(TICK_SECONDS, now - self.asked_at) if self.seq else TICK_SECONDS
        part = BUSY_SECONDS / seconds
        requests = max(few[0], int((self.requests - before.requests) * part), self._window.requests if far[0] else 0)
        tokens = max(few[1], int((self.tokens - before.tokens) * part), self._window.tokens if far[1] else 0)
        slots = max(few[2], self._most_slots if far[2] else self.slots)
        return Amount(
            requests + need.requests if self.limit_requests is not None else 0,
            tokens + LEAST_WANTED * need.tokens if self.limit_tokens is not None else 0,
            slots + need.slots if self.limit_slots is not None else 0,
        )

    def is_far(self, now: float) -> bool:
        """Whether of every limit less than half is used, here and elsewhere."""
        self._note(now)
        limits = (self.limit_requests, self.limit_tokens, self.limit_slots)
        return all(far or limit is None for far, limit in zip(self._far(now), limits, strict=True))

    def _far(self, now: float) -> tuple[bool, bool, bool]:
        others = self.others_now(now)
        return (
            _is_far(self._window.requests + others.requests, self.limit_requests),
            _is_far(self._window.tokens + others.tokens, self.limit_tokens),
            _is_far(self.slots + others.slots, self.limit_slots),
        )

    def take(self, answer: RateAnswer, valid_seconds: float, now: float) -> None:
        """Adopt a lease; only the answer to the last ask counts."""
        if answer.seq != self.seq:
            return
        self._hold(Amount(answer.lease_requests, answer.lease_tokens, answer.lease_slots))
        self._lease_until = self.asked_at + valid_seconds
        self.others = Amount(answer.others_requests, answer.others_tokens, answer.others_slots)
        self.idle = Amount(answer.idle_requests, answer.idle_tokens, answer.idle_slots)
        self.answered_at, self.told_at = now, self.asked_at
        self._note(now)
        self._set_free(now)

    def _hold(self, lease: Amount) -> None:
        """A lease counts from what had been used when it was asked for."""
        base = self._base
        self._lease = lease
        self._may_requests = ENDLESS if self.limit_requests is None else base.requests + lease.requests
        self._may_tokens = ENDLESS if self.limit_tokens is None else base.tokens + lease.tokens
        self._may_slots = ENDLESS if self.limit_slots is None else base.slots + lease.slots

    def limit_of(self, name: str) -> int:
        """By the name that `lacking` gives."""
        limits = Amount(self.limit_requests or 0, self.limit_tokens or 0, self.limit_slots or 0)
        return limits[LIMIT_NAMES.index(name)]

    def idle_of(self, name: str) -> int:
        """What others may not need of it, by the name that `lacking` gives."""
        return self.idle[LIMIT_NAMES.index(name)]


def _passes(wanted: int, limit: int | None, part: Part) -> bool:
    return limit is not None and wanted > part.of(limit)


def _is_far(used: int, limit: int | None) -> bool:
    return limit is not None and 2 * used <= limit


def _few(least: int, limit: int | None) -> int:
    return least if limit is None else max(least, limit // SMALL_PART)
