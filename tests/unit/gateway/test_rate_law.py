"""Limits per minute and on concurrency over several gateways: whatever is lost, late or repeated, no minute sees more than the limit."""

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from common.contracts.directory import Limits
from common.contracts.rates import RateAnswer, RateAsk
from gateway.domain.rate_limit import Amount, RateScope
from usage.domain.rate_leases import COUNTED_SECONDS, SLOTS_SECONDS, VALID_SECONDS
from usage.outbound.rate_leases_store import RateBooks, RateRow
from usage.use_cases.answer_rates import answer_rate

BOOTS = 3


class _Boot:
    def __init__(self, limits: Limits) -> None:
        self.scope = RateScope("key", "k", 1_000.0)
        self.scope.adopt(limits, "hard")
        self.asks: list[RateAsk] = []
        self.answers: list[RateAnswer] = []
        self.running: list[tuple[int, float]] = []
        self.dead = False


class RateLaw(RuleBasedStateMachine):
    """Some boots and the authority's rows; time passes, messages wander, boots die."""

    @initialize(requests=st.integers(1, 40), tokens=st.integers(1, 4_000), slots=st.integers(1, 12))
    def begin(self, requests: int, tokens: int, slots: int) -> None:
        self.limits = Limits(version=1, requests_per_minute=requests, tokens_per_minute=tokens, concurrency=slots)
        self.boots = [_Boot(self.limits) for _ in range(BOOTS)]
        self.rows: dict[int, tuple[RateRow, float]] = {}
        self.now = 1_000.0
        self.used: deque[tuple[float, list[int]]] = deque()
        self.lapsed = False

    number = st.integers(0, BOOTS - 1)

    @rule(seconds=st.floats(0, 8))
    def time_passes(self, seconds: float) -> None:
        """For everybody alike: leases are counted in durations, not in moments."""
        self.now += seconds
        for number, boot in enumerate(self.boots):
            heard_at = self.rows[number][1] if number in self.rows else 0.0
            if boot.running and self.now - heard_at >= SLOTS_SECONDS:
                self.lapsed = True

    @rule(number=number, requests=st.integers(0, 2), tokens=st.integers(0, 500))
    def ask(self, number: int, requests: int, tokens: int) -> None:
        """A boot asks, for its pace and for whoever waits."""
        boot = self.boots[number]
        if not boot.dead:
            boot.asks.append(boot.scope.shape(Amount(requests, tokens, requests), self.now))

    @rule(number=number, pick=st.integers(0, 20), keep=st.booleans())
    def hear(self, number: int, pick: int, keep: bool) -> None:
        """The authority hears any ask that was ever said, perhaps again."""
        boot = self.boots[number]
        if not boot.asks:
            return
        ask = boot.asks[pick % len(boot.asks)]
        if not keep:
            boot.asks.remove(ask)
        answer, row = answer_rate(ask, self._books(number), BOOTS)
        if row is not None:
            self.rows[number] = (row, self.now)
        boot.answers.append(answer)

    @rule(number=number, pick=st.integers(0, 20))
    def learn(self, number: int, pick: int) -> None:
        """A boot hears any answer once; only that to its last ask counts."""
        boot = self.boots[number]
        if boot.answers and not boot.dead:
            boot.scope.take(boot.answers.pop(pick % len(boot.answers)), VALID_SECONDS)

    @rule(number=number, tokens=st.integers(0, 600))
    def admit(self, number: int, tokens: int) -> None:
        """A request is let in when its lease covers it."""
        boot, wanted = self.boots[number], Amount(1, tokens, 1)
        if boot.dead or boot.scope.lacking(wanted, self.now, BOOTS):
            return
        boot.scope.use(wanted, self.now)
        boot.running.append((tokens, self.now))
        self.used.append((self.now, [1, tokens]))

    @rule(number=number, part=st.floats(0, 1))
    def end(self, number: int, part: float) -> None:
        """A request ends with no more tokens than were counted for it."""
        boot = self.boots[number]
        if boot.dead or not boot.running:
            return
        tokens, at = boot.running.pop(0)
        actual = int(tokens * part)
        boot.scope.free_slot()
        boot.scope.correct_tokens(actual - tokens, at)
        entry = next(used for used in self.used if used[0] == at and used[1] == [1, tokens])
        entry[1][1] = actual

    @rule(number=number)
    def die(self, number: int) -> None:
        """A boot is gone for ever, with all that ran in it; at most one, or nothing would happen any more."""
        if not any(boot.dead for boot in self.boots):
            self.boots[number].dead = True
            self.boots[number].running.clear()

    @invariant()
    def no_minute_sees_more_than_the_limit(self) -> None:
        """Whatever any of them believes."""
        if not hasattr(self, "boots"):
            return
        recent = [amounts for at, amounts in self.used if at > self.now - 60]
        assert sum(amounts[0] for amounts in recent) <= (self.limits.requests_per_minute or 0)
        assert sum(amounts[1] for amounts in recent) <= (self.limits.tokens_per_minute or 0)

    @invariant()
    def no_more_run_at_once_than_the_limit(self) -> None:
        """As long as no boot with running requests was silent for so long that it was taken to be gone."""
        if hasattr(self, "boots") and not self.lapsed:
            assert sum(len(boot.running) for boot in self.boots) <= (self.limits.concurrency or 0)

    def _books(self, asking: int) -> RateBooks:
        own = self.rows.get(asking)
        others = [(row, at) for number, (row, at) in self.rows.items() if number != asking and at > self.now - COUNTED_SECONDS]
        return RateBooks(
            scope="key",
            scope_id="k",
            ask_seq=own[0].seq if own else None,
            limit_version=1 if self.rows else None,
            limit_requests=self.limits.requests_per_minute,
            limit_tokens=self.limits.tokens_per_minute,
            limit_slots=self.limits.concurrency,
            others_requests=sum(row.used_requests + row.lease_requests for row, _ in others),
            others_tokens=sum(row.used_tokens + row.lease_tokens for row, _ in others),
            others_slots=sum(row.used_slots + row.lease_slots for row, at in others if at > self.now - SLOTS_SECONDS),
        )


TestRateLaw = RateLaw.TestCase
TestRateLaw.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


def make_scope(limits: Limits, now: float = 1_000.0) -> RateScope:
    scope = RateScope("key", "k", now)
    scope.adopt(limits, "hard")
    return scope


def test_without_a_lease_nothing_fits_and_with_one_it_does() -> None:
    """A limit alone lets nobody in: somebody must have said how much of it is ours."""
    scope = make_scope(Limits(version=1, requests_per_minute=10))
    assert scope.lacking(Amount(1, 0, 1), 1_000.0, 1) == "requests_per_minute"
    ask = scope.shape(Amount(1, 0, 1), 1_000.0)
    scope.take(RateAnswer(scope="key", scope_id="k", seq=ask.seq, lease_requests=1), 5.0)
    assert not scope.lacking(Amount(1, 0, 1), 1_004.0, 1)
    scope.use(Amount(1, 0, 1), 1_004.0)
    assert scope.lacking(Amount(1, 0, 1), 1_004.5, 1) == "requests_per_minute"


@pytest.mark.parametrize(("gateways", "fits"), [(1, 10), (4, 2), (20, 0)])
def test_when_nobody_answers_each_gateway_uses_its_even_share(gateways: int, fits: int) -> None:
    """Two seconds after asks have begun to fail, and until one is answered."""
    scope = make_scope(Limits(version=1, requests_per_minute=10))
    scope.shape(Amount(1, 0, 1), 1_000.0)
    scope.not_answered(1_000.0)
    now, let_in = 1_003.0, 0
    while not scope.lacking(Amount(1, 0, 1), now, gateways):
        scope.use(Amount(1, 0, 1), now)
        let_in += 1
    assert let_in == fits


def test_a_newer_limit_voids_the_lease_on_the_older_one() -> None:
    """What was leased of a higher limit is not used on a lower one."""
    scope = make_scope(Limits(version=1, requests_per_minute=10))
    ask = scope.shape(Amount(1, 0, 1), 1_000.0)
    scope.take(RateAnswer(scope="key", scope_id="k", seq=ask.seq, lease_requests=9), 5.0)
    scope.adopt(Limits(version=2, requests_per_minute=1), "hard")
    assert scope.lacking(Amount(1, 0, 1), 1_001.0, 1) == "requests_per_minute"
