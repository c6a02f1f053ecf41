"""Boots, their scope of one owner, and the authority's rows, with a clock and messages in a test's hands."""

from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import count

from common.contracts.directory import Limits
from common.contracts.rates import RateAnswer, RateAsk
from gateway.domain.rate_group import RateGroup
from gateway.domain.rate_limit import Amount, RateScope
from usage.domain.rate_leases import COUNTED_SECONDS, SLOTS_SECONDS, VALID_SECONDS
from usage.outbound.rate_leases_store import RateBooks, RateRow
from usage.use_cases.answer_rates import answer_rate

MINUTE = 60.0


@dataclass
class Running:
    """A request under way: when it was counted, and the entry in the log of all use."""

    at: float
    tokens: int
    entry: list[int]


@dataclass
class Boot:
    """One gateway's part of it."""

    scope: RateScope
    numbers: count = field(default_factory=lambda: count(1))
    asks: list[RateAsk] = field(default_factory=list)
    answers: list[RateAnswer] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)
    dead: bool = False

    @property
    def group(self) -> RateGroup:
        """How requests take of it."""
        return RateGroup(((self.scope, "hard"),))


class RateWorld:
    """`done` counts what has happened, so that a test can tell whether it has tested anything."""

    def __init__(self, boots: int, limits: Limits) -> None:
        self.now = 1_000.0
        self.limits = limits
        self.limit_history: list[tuple[float, Limits]] = [(self.now, limits)]
        self.boots = [Boot(self._new_scope()) for _ in range(boots)]
        self.rows: dict[int, tuple[RateRow, float]] = {}
        self.used: deque[tuple[float, list[int]]] = deque()
        self.underestimated: deque[tuple[float, int]] = deque()
        self.lapsed = False
        self.lapsed_until = 0.0
        self.done: Counter[str] = Counter()

    def _new_scope(self) -> RateScope:
        scope = RateScope("key", "k", self.now)
        scope.adopt(self.limits)
        return scope

    def pass_time(self, seconds: float) -> None:
        """For everybody alike: leases are counted in durations, not in moments."""
        self.now += seconds

    def change_limits(self, limits: Limits) -> None:
        """The directory says so to everybody."""
        self.limits = limits
        self.limit_history.append((self.now, limits))
        for boot in self.boots:
            if not boot.dead:
                boot.scope.adopt(limits)

    def ask(self, number: int, need: Amount) -> None:
        """A boot asks, for its pace and for whoever waits."""
        boot = self.boots[number]
        if not boot.dead:
            boot.asks.append(boot.scope.shape(need, self.now, next(boot.numbers)))
            boot.scope.in_flight = False

    def hear(self, number: int, pick: int, *, again: bool) -> None:
        """The authority hears an ask that was said at some time, perhaps not for the last time."""
        boot = self.boots[number]
        if not boot.asks:
            return
        ask = boot.asks[pick % len(boot.asks)]
        if not again:
            boot.asks.remove(ask)
        answer, row = answer_rate(ask, self._books(number), len(self.boots))
        if row is not None:
            self.rows[number] = (row, self.now)
        boot.answers.append(answer)

    def learn(self, number: int, pick: int) -> None:
        """A boot hears an answer, whichever."""
        boot = self.boots[number]
        if boot.answers and not boot.dead:
            boot.scope.take(boot.answers.pop(pick % len(boot.answers)), VALID_SECONDS, self.now)

    def converse(self, number: int, need: Amount) -> None:
        """Ask, be heard, learn: as it goes where nothing is lost."""
        boot = self.boots[number]
        if not boot.dead:
            self.ask(number, need)
            self.hear(number, -1, again=False)
            self.learn(number, -1)

    def recall(self, number: int) -> None:
        """A boot hears that another one waits."""
        boot = self.boots[number]
        if not boot.dead and boot.scope.recall(self.now):
            self.done["recalled"] += 1

    def admit(self, number: int, tokens: int) -> bool:
        """A request is let in when the lease covers it; it asks for one where it does not."""
        boot, wanted = self.boots[number], Amount(1, tokens, 1)
        if boot.dead:
            return False
        if boot.group.take_free(1, tokens, 1, self.now):
            self.done["taken without a look"] += 1
        elif boot.scope.lacking(wanted, self.now):
            self.done["lacking"] += 1
            return False
        else:
            boot.scope.use(wanted, self.now)
        entry = [1, tokens]
        self.used.append((self.now, entry))
        boot.running.append(Running(self.now, tokens, entry))
        self.done["admitted"] += 1
        return True

    def end(self, number: int, tokens: int) -> None:
        """The oldest request of a boot has needed so many tokens, perhaps more than were counted for it."""
        boot = self.boots[number]
        if boot.dead or not boot.running:
            return
        request = boot.running.pop(0)
        boot.group.end(tokens - request.tokens, request.at)
        if tokens > request.tokens:
            self.underestimated.append((request.at, tokens - request.tokens))
        request.entry[1] = tokens
        self.done["ended"] += 1

    def busy_boots(self) -> list[int]:
        """Those in which requests run."""
        return [number for number, boot in enumerate(self.boots) if boot.running]

    def withdraw(self, number: int) -> None:
        """The newest request of a boot is refused by something else: it has used nothing."""
        boot = self.boots[number]
        if boot.dead or not boot.running:
            return
        request = boot.running.pop()
        boot.group.take_back_request(request.at)
        boot.group.end(-request.tokens, request.at)
        request.entry[:] = [0, 0]
        self.done["withdrawn"] += 1

    def forget(self, number: int) -> None:
        """A boot forgets a scope that is over, and makes it anew when it is used again; its numbers go on."""
        boot = self.boots[number]
        if not boot.dead and not boot.running and boot.scope.is_over(self.now):
            boot.scope = self._new_scope()
            self.done["forgotten"] += 1

    def die(self, number: int) -> None:
        """A boot is gone for ever, with all that ran in it."""
        boot = self.boots[number]
        boot.dead = True
        boot.running.clear()
        self.done["died"] += 1

    # ---- laws --------------------------------------------------------------------------------------------------------
    def breaches(self) -> list[str]:
        """Every law that does not hold now."""
        recent = [amounts for at, amounts in self.used if at > self.now - MINUTE]
        beyond = sum(tokens for at, tokens in self.underestimated if at > self.now - MINUTE)
        running = sum(len(boot.running) for boot in self.boots)
        sums = (
            ("requests", sum(amounts[0] for amounts in recent), self._highest("requests_per_minute", self.now)),
            ("tokens", sum(amounts[1] for amounts in recent) - beyond, self._highest("tokens_per_minute", self.now)),
            ("slots", 0 if self._lapse(running) else running, self._highest("concurrency", self._oldest())),
        )
        return [f"{amount} {name} of {limit}" for name, amount, limit in sums if amount > limit]

    def _highest(self, name: str, since: float) -> int:
        """The highest limit that counted since then, and for the minute before: what was used of a higher one is used."""
        since -= COUNTED_SECONDS
        starts = [at for at, _ in self.limit_history]
        inside = [
            limits for (at, limits), until in zip(self.limit_history, [*starts[1:], self.now + 1], strict=True) if until > since
        ]
        return max(getattr(limits, name) or 0 for limits in inside)

    def _oldest(self) -> float:
        """When the oldest request that still runs was let in."""
        return min((request.at for boot in self.boots for request in boot.running), default=self.now)

    def _lapse(self, running: int) -> bool:
        """Whether a boot with running requests was silent for so long that it was taken to be gone: then its slots are others', and more
        may run than the limit until enough have ended.
        """
        silent = any(
            boot.running and self.now - (self.rows[number][1] if number in self.rows else 0.0) >= SLOTS_SECONDS
            for number, boot in enumerate(self.boots)
        )
        if silent:
            self.lapsed_until = self.now + 2 * VALID_SECONDS  # until then leases of others are used that its return has overdrawn
        self.lapsed = self.now < self.lapsed_until or (self.lapsed and running > self._highest("concurrency", self._oldest()))
        return self.lapsed

    def _books(self, asking: int) -> RateBooks:
        own = self.rows.get(asking)
        others = [(row, at) for number, (row, at) in self.rows.items() if number != asking and at > self.now - COUNTED_SECONDS]
        living = [row for row, at in others if at > self.now - VALID_SECONDS]
        newest = max((row for row, _ in self.rows.values()), key=lambda row: row.limit_version, default=None)
        return RateBooks(
            scope="key",
            scope_id="k",
            ask_seq=own[0].seq if own else None,
            limit_version=newest.limit_version if newest else None,
            limit_requests=newest.limit_requests if newest else None,
            limit_tokens=newest.limit_tokens if newest else None,
            limit_slots=newest.limit_slots if newest else None,
            others_requests=sum(row.used_requests + row.lease_requests for row, _ in others),
            others_tokens=sum(row.used_tokens + row.lease_tokens for row, _ in others),
            others_slots=sum(row.used_slots + row.lease_slots for row, at in others if at > self.now - SLOTS_SECONDS),
            idle_requests=sum(row.lease_requests for row in living),
            idle_tokens=sum(row.lease_tokens for row in living),
            idle_slots=sum(row.used_slots + row.lease_slots for row in living),
        )
