"""How much budget to ask for, and when: what a scope spends at the moment, and the cushion that makes its requests wait for nobody.

Pure; `now` is in monotonic seconds. What is asked is cumulative, so lost, repeated and late messages change nothing.
"""

import math
from collections.abc import Iterable

from common.contracts.grants import ScopeAnswer, ScopeAsk
from gateway.domain.budget import ScopeAccount

TICK_SECONDS = 1.0
FAR_AHEAD_SECONDS = 300.0
FEW_HOLDS = 16
COMFORT, HURRY = 0.75, 0.5
"""Parts of the cushion below which more is asked for: at leisure, and within a second of the last ask."""
LARGEST_BOOST = 2**16
SMALL_PART = 20
"""A first cushion is asked for ahead of any request only if the limit is so many times larger."""
IDLE_SECONDS = 10.0
NEARLY_SPENT = 0.8
QUIET_SECONDS = 60.0
"""Untouched for so long, an account's rate is nothing and the ticks leave it alone."""
EXHAUSTED_SECONDS = 0.25
ENDLESS = 1 << 62
RECALLED_SECONDS = 1.0
"""So long after a recall only what requests need is asked for: a cushion would be recalled again at once."""


class GrantPace:
    """One account's conversation with the authority. `active` = the ticks look at it, `in_flight` = an ask is under way, `noted` =
    the next one is due, `only_looks` = it is to ask for nothing but what requests wait for. `status` is that of the last answer, `told`
    what the last ask said to be settled.
    """

    __slots__ = (
        "account",
        "active",
        "asked_at",
        "boost",
        "cushion",
        "in_flight",
        "in_vain",
        "largest",
        "last_reserved",
        "last_settled",
        "noted",
        "only_looks",
        "rate_nanousd",
        "rate_tokens",
        "recalled_at",
        "status",
        "told",
        "touched_at",
    )

    def __init__(self, account: ScopeAccount, expected: tuple[int, int], now: float) -> None:
        self.account = account
        self.rate_tokens = self.rate_nanousd = 0.0
        self.last_settled = self.last_reserved = self.told = (0, 0)
        self.largest = expected
        self.boost = 1
        self.cushion = (FEW_HOLDS * expected[0], FEW_HOLDS * expected[1])
        self.touched_at = now
        self.asked_at = 0.0
        self.recalled_at = -math.inf
        self.in_vain = (0.0, 0, 0)
        self.status = ""
        self.in_flight = self.active = self.noted = self.only_looks = False

    def activate(self) -> bool:
        """Begin to look at it; False if it is looked at already."""
        if self.active:
            return False
        self.active = True
        account = self.account
        self.last_settled = (account.settled_tokens, account.settled_nanousd)
        self.last_reserved = (account.reserved_tokens, account.reserved_nanousd)
        return True

    def touched(self, tokens: int, nanousd: int, now: float) -> bool:
        """A hold was taken: whether to ask ahead, because less than three quarters of a comfortable cushion is left.

        Need not be called before the account's `look_at_*` is passed, or a hold is larger than all before it.
        """
        self.touched_at = now
        if tokens > self.largest[0] or nanousd > self.largest[1]:
            self.largest = (max(tokens, self.largest[0]), max(nanousd, self.largest[1]))
            self.cushion = self._comfortable()
        self._mark()
        if self.in_flight or self.noted or not self._is_low(now):
            return False
        if self._is_dry(now) or now - self.recalled_at < RECALLED_SECONDS:
            return False
        if now - self.asked_at < TICK_SECONDS:
            if self.account.answered_at < self.asked_at:
                return False  # nobody answered: asking at once again, or for more, brings nothing but a hoard later
            self.boost = min(LARGEST_BOOST, self.boost * 2)
            self.cushion = self._comfortable()
            self._mark()
        self.noted = True
        return True

    def _is_low(self, now: float) -> bool:
        part = HURRY if now - self.asked_at < TICK_SECONDS else COMFORT
        left_tokens, left_nanousd = self.account.headroom()
        return (self.account.limit_tokens is not None and left_tokens < part * self.cushion[0]) or (
            self.account.limit_nanousd is not None and left_nanousd < part * self.cushion[1]
        )

    def _mark(self) -> None:
        """From where on the account has to be looked at: when less than the comfortable part of the cushion is left."""
        account = self.account
        account.look_at_tokens = (
            ENDLESS if account.limit_tokens is None else account.granted_tokens - int(COMFORT * self.cushion[0])
        )
        account.look_at_nanousd = (
            ENDLESS if account.limit_nanousd is None else account.granted_nanousd - int(COMFORT * self.cushion[1])
        )

    def _comfortable(self) -> tuple[int, int]:
        few = FEW_HOLDS * self.boost
        return (
            max(few * self.largest[0], int(self.rate_tokens * FAR_AHEAD_SECONDS)),
            max(few * self.largest[1], int(self.rate_nanousd * FAR_AHEAD_SECONDS)),
        )

    def _is_dry(self, now: float) -> bool:
        """Whether the authority has just said that nothing is left: asking ahead again at once would be noise."""
        answer = self.account.answer
        return answer is not None and now - self.account.answered_at < TICK_SECONDS and min(unpromised(answer)) <= 0

    def deserves_cushion(self) -> bool:
        """Whether a first cushion may be asked for before any request needs it; not where that were a good part of a budget."""
        account = self.account
        tokens, nanousd = self.cushion
        return (
            account.limited
            and not account.seq
            and (account.limit_tokens is None or account.limit_tokens >= SMALL_PART * tokens)
            and (account.limit_nanousd is None or account.limit_nanousd >= SMALL_PART * nanousd)
        )

    def shape(self, waiting: Iterable[tuple[int, int]], now: float) -> ScopeAsk:
        """The next ask; `waiting` are the (tokens, nano-USD) of the requests that wait, in the order of their coming."""
        account = self.account
        returning = account.returned_seq == account.seq and account.seq > 0
        if not returning:
            account.seq += 1
        self.asked_at = now
        self.in_flight, self.noted = True, False
        self.told = (account.settled_tokens, account.settled_nanousd)
        need_tokens = need_nanousd = all_tokens = all_nanousd = 0
        for tokens, nanousd in waiting:
            if all_tokens == all_nanousd == 0:  # whoever came first decides whether anything is left
                need_tokens, need_nanousd = account.shortfall(tokens, nanousd)
            all_tokens, all_nanousd = all_tokens + tokens, all_nanousd + nanousd
        short_tokens, short_nanousd = account.shortfall(all_tokens, all_nanousd)
        left = account.headroom()
        cushion = (0, 0) if self.only_looks or now - self.recalled_at < RECALLED_SECONDS else self.cushion
        self.only_looks = False
        return ScopeAsk(
            scope=account.scope,
            scope_id=account.scope_id,
            period=account.period,
            limit_version=account.limit_version,
            limit_tokens=account.limit_tokens,
            limit_nanousd=account.limit_nanousd,
            seq=account.seq,
            settled_tokens=account.settled_tokens,
            settled_nanousd=account.settled_nanousd,
            reserved_tokens=account.reserved_tokens,
            reserved_nanousd=account.reserved_nanousd,
            granted_tokens=None if account.limit_tokens is None else account.granted_tokens,
            granted_nanousd=None if account.limit_nanousd is None else account.granted_nanousd,
            need_tokens=need_tokens,
            need_nanousd=need_nanousd,
            waiting_tokens=0 if returning else short_tokens,
            waiting_nanousd=0 if returning else short_nanousd,
            want_tokens=0 if returning else short_tokens + max(0, cushion[0] - max(0, left[0])),
            want_nanousd=0 if returning else short_nanousd + max(0, cushion[1] - max(0, left[1])),
            returning=returning,
        )

    def take(self, answer: ScopeAnswer, now: float) -> None:
        """Adopt what was answered; an authority that does not know our limits yet has decided nothing."""
        account = self.account
        self.status = answer.status
        if answer.status == "stale_limits":
            return
        account.take_answer(answer)
        account.hear_used(answer, *self.told)
        account.answered_at = now
        self._mark()
        if answer.seq == account.returned_seq == account.seq:
            account.seq += 1  # the return has been heard; the next ask is an ordinary one

    def owes_return(self) -> bool:
        """Whether a return has not been heard yet: it is said until it is."""
        return self.account.returned_seq == self.account.seq > 0

    def recall(self, now: float) -> bool:
        """Somebody else needs the budget: give back what is not reserved. False if there is nothing to give."""
        self.recalled_at = now
        account = self.account
        left_tokens, left_nanousd = account.headroom()
        spare_tokens = account.limit_tokens is not None and left_tokens > 0
        spare_nanousd = account.limit_nanousd is not None and left_nanousd > 0
        if not (spare_tokens or spare_nanousd) or self.owes_return():
            return False
        account.give_back()
        return True

    def tick(self, now: float) -> str:
        """Once a second: `return` if it gave something back, `quiet` if it need not be looked at, else `go on`."""
        account = self.account
        tokens, nanousd = account.settled_tokens - self.last_settled[0], account.settled_nanousd - self.last_settled[1]
        reserved = (account.reserved_tokens, account.reserved_nanousd)
        if tokens or nanousd or reserved != self.last_reserved:
            self.touched_at = now
        self.last_settled, self.last_reserved = (account.settled_tokens, account.settled_nanousd), reserved
        self.rate_tokens += 0.2 * (tokens / TICK_SECONDS - self.rate_tokens)
        self.rate_nanousd += 0.2 * (nanousd / TICK_SECONDS - self.rate_nanousd)
        if now - self.asked_at > 2 * TICK_SECONDS:
            self.boost = max(1, self.boost // 2)
        self.cushion = self._comfortable()
        if self._should_return(now):
            account.give_back()
            return "return"
        if self._is_quiet(now):
            self.active = False
            self.rate_tokens = self.rate_nanousd = 0.0
            self.boost = 1
            self.cushion = self._comfortable()
            account.look_at_tokens = account.look_at_nanousd = -1  # the next hold wakes it
            return "quiet"
        self._mark()
        return "go on"

    def _is_quiet(self, now: float) -> bool:
        """Whether nothing can happen to it before a request touches it."""
        account = self.account
        if self.in_flight or account.reserved_tokens or account.reserved_nanousd:
            return False
        return not account.limited or now - max(self.touched_at, self.asked_at) > QUIET_SECONDS

    def _should_return(self, now: float) -> bool:
        """Idle while the budget is nearly handed out: somebody else may need what lies here."""
        answer = self.account.answer
        if answer is None or self.in_flight or now - self.touched_at < IDLE_SECONDS:
            return False
        left_tokens, left_nanousd = self.account.headroom()
        return _nearly(answer.limit_tokens, answer.used_tokens + answer.held_tokens, left_tokens) or _nearly(
            answer.limit_nanousd, answer.used_nanousd + answer.held_nanousd, left_nanousd
        )

    def waited_in_vain(self, tokens: int, nanousd: int, now: float) -> None:
        """Others were asked to return what they do not need, and it was not enough: for a moment nobody need wait for as much."""
        self.in_vain = (now + EXHAUSTED_SECONDS, tokens, nanousd)

    def is_exhausted(self, tokens: int, nanousd: int, now: float) -> bool:
        """Whether the authority has just said that so much is not there: asking again at once would not help."""
        account = self.account
        answer = account.answer
        until, vain_tokens, vain_nanousd = self.in_vain
        if now < until and tokens >= vain_tokens and nanousd >= vain_nanousd:
            return True
        if answer is None or answer.status != "exhausted" or now - account.answered_at > EXHAUSTED_SECONDS:
            return False
        return self.lacks(tokens, nanousd)

    def lacks(self, tokens: int, nanousd: int) -> bool:
        """Whether by the last answer more is missing than nobody has been promised."""
        answer = self.account.answer
        if answer is None:
            return False
        short_tokens, short_nanousd = self.account.shortfall(tokens, nanousd)
        pool_tokens, pool_nanousd = unpromised(answer)
        return short_tokens > pool_tokens or short_nanousd > pool_nanousd


def unpromised(answer: ScopeAnswer) -> tuple[float, float]:
    """What nobody holds or has used, per unit; endless where there is no limit."""
    return (
        math.inf if answer.limit_tokens is None else answer.limit_tokens - answer.used_tokens - answer.held_tokens,
        math.inf if answer.limit_nanousd is None else answer.limit_nanousd - answer.used_nanousd - answer.held_nanousd,
    )


def _nearly(limit: int | None, committed: int, left: int) -> bool:
    return limit is not None and left > 0 and committed >= NEARLY_SPENT * limit
