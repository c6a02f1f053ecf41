"""Limits per minute and on concurrency over several gateways: whatever is lost, late or repeated, no minute sees more than the limit."""

import random
from collections import Counter
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from common.contracts.directory import Limits
from common.contracts.rates import RateAnswer
from gateway.domain.rate_limit import BUSY_SECONDS, JUST_TOLD, LATELY, Amount, Part, RateScope
from tests.unit.gateway.simulated_rates import RateWorld
from usage.domain.rate_leases import VALID_SECONDS

BOOTS = 3
number = st.integers(0, BOOTS - 1)
pick = st.integers(0, 20)


def make_limits(requests: int, tokens: int, slots: int, *, version: int = 1) -> Limits:
    return Limits(version=version, requests_per_minute=requests, tokens_per_minute=tokens, concurrency=slots)


class RateLaw(RuleBasedStateMachine):
    """Hypothesis chooses what happens next, and finds the shortest story of a breach. `done`: what happened in all stories together."""

    done: ClassVar[Counter[str]] = Counter()

    @initialize(requests=st.integers(1, 40), tokens=st.integers(500, 20_000), slots=st.integers(1, 12))
    def begin(self, requests: int, tokens: int, slots: int) -> None:
        self.world = RateWorld(BOOTS, make_limits(requests, tokens, slots))

    @rule(seconds=st.floats(0, 8))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(number=number, tokens=st.integers(0, 500), times=st.integers(1, 4))
    def requests_come(self, number: int, tokens: int, times: int) -> None:
        """Each asks for a lease where it lacks one, is answered, and tries again."""
        for _ in range(times):
            if not self.world.admit(number, tokens):
                self.world.converse(number, Amount(1, tokens, 1))
                self.world.admit(number, tokens)

    @rule(number=number, tokens=st.integers(0, 50), times=st.integers(2, 6))
    def requests_come_one_after_another(self, number: int, tokens: int, times: int) -> None:
        """A boot that has a lease for some of them lets in one as soon as the one before has ended: most of them without a look."""
        self.world.converse(number, Amount(2 * times, 2 * times * tokens, 2))
        for _ in range(times):
            if self.world.admit(number, tokens):
                self.world.end(number, tokens)

    @rule(pick=pick, tokens=st.integers(0, 600))
    def request_ends(self, pick: int, tokens: int) -> None:
        if busy := self.world.busy_boots():
            self.world.end(busy[pick % len(busy)], tokens)

    @rule(pick=pick)
    def request_is_refused_elsewhere(self, pick: int) -> None:
        if busy := self.world.busy_boots():
            self.world.withdraw(busy[pick % len(busy)])

    @rule(number=number, requests=st.integers(0, 2), tokens=st.integers(0, 500))
    def ask_is_said(self, number: int, requests: int, tokens: int) -> None:
        self.world.ask(number, Amount(requests, tokens, requests))

    @rule(number=number, pick=pick, again=st.booleans())
    def ask_is_heard(self, number: int, pick: int, again: bool) -> None:
        self.world.hear(number, pick, again=again)

    @rule(number=number, pick=pick)
    def answer_is_heard(self, number: int, pick: int) -> None:
        self.world.learn(number, pick)

    @rule(number=number)
    def tick(self, number: int) -> None:
        """A boot tells how it stands, once a second as long as there is something to tell."""
        self.world.converse(number, Amount())

    @rule(number=number)
    def recall_is_heard(self, number: int) -> None:
        self.world.recall(number)

    @rule(number=number)
    def scope_is_forgotten(self, number: int) -> None:
        self.world.forget(number)

    @rule(number=number)
    def boot_dies(self, number: int) -> None:
        """At most one, or nothing would happen any more."""
        if not any(boot.dead for boot in self.world.boots):
            self.world.die(number)

    @rule(requests=st.integers(1, 40), tokens=st.integers(500, 20_000), slots=st.integers(1, 12))
    def limits_change(self, requests: int, tokens: int, slots: int) -> None:
        self.world.change_limits(make_limits(requests, tokens, slots, version=self.world.limits.version + 1))

    @invariant()
    def the_laws_hold(self) -> None:
        """No 60 seconds see more than the limit but what was underestimated, and no more run at once."""
        if hasattr(self, "world"):
            assert not self.world.breaches()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.done.update(self.world.done)


def test_no_disorder_breaks_the_laws() -> None:
    """Nine thousand steps in a hundred and fifty stories, in which requests are let in and refused, end and are withdrawn."""
    run_state_machine_as_test(
        RateLaw, settings=settings(max_examples=150, stateful_step_count=60, deadline=None, derandomize=True)
    )
    assert min(RateLaw.done[what] for what in ("admitted", "lacking", "ended")) >= 50, RateLaw.done
    assert min(RateLaw.done[what] for what in ("taken without a look", "withdrawn", "forgotten", "recalled", "died")) >= 5, (
        RateLaw.done
    )


STEPS = ("come", "end", "withdraw", "lose", "stale", "tick", "recall", "time", "pause", "forget", "limits")
WEIGHTS = (40, 30, 3, 3, 3, 20, 5, 20, 1, 1, 0.5)


def live_long(world: RateWorld, draw: random.Random, steps: int) -> None:  # noqa: C901 - a table of what can happen
    """Much traffic, some loss; as it is likely."""
    for _ in range(steps):
        boot = draw.randrange(BOOTS)
        match draw.choices(STEPS, WEIGHTS)[0]:
            case "come":
                tokens = draw.randint(1, 300)
                if not world.admit(boot, tokens):
                    world.converse(boot, Amount(1, tokens, 1))
                    world.admit(boot, tokens)
            case "end":
                world.end(boot, draw.randint(0, 330))
            case "withdraw":
                world.withdraw(boot)
            case "lose":
                world.ask(boot, Amount(1, 100, 1))
                world.boots[boot].asks.clear()
            case "stale":
                world.ask(boot, Amount(1, 100, 1))
                world.hear(boot, draw.randrange(20), again=True)
                world.learn(boot, draw.randrange(20))
            case "tick":
                world.converse(boot, Amount())
            case "recall":
                world.recall(boot)
            case "time":
                world.pass_time(draw.uniform(0, 2))
            case "pause":
                world.pass_time(draw.uniform(0, 90))
            case "forget":
                world.pass_time(61)
                world.converse(boot, Amount())
                world.forget(boot)
            case "limits":
                version = world.limits.version + 1
                world.change_limits(
                    make_limits(draw.randint(5, 60), draw.randint(2_000, 9_000), draw.randint(2, 9), version=version)
                )
        assert not world.breaches()


@pytest.mark.parametrize("seed", range(3))
def test_a_long_busy_life(seed: int) -> None:
    """Four thousand steps in which all of it happens, and happens often."""
    world = RateWorld(BOOTS, make_limits(30, 6_000, 6))
    live_long(world, random.Random(seed), 4_000)
    done = world.done
    assert done["admitted"] > 300, done
    assert min(done["lacking"], done["ended"], done["withdrawn"], done["recalled"], done["taken without a look"]) > 20, done
    assert done["forgotten"], done


def test_a_boot_that_counts_less_than_it_uses_is_found_out() -> None:
    """The law can be broken: a boot that forgets each fourth request in what it tells passes the limit."""

    class Forgetful(RateWorld):
        def admit(self, number: int, tokens: int) -> bool:
            admitted = super().admit(number, tokens)
            if admitted and self.done["admitted"] % 4 == 0:
                self.boots[number].group.take_back_request(self.now)
            return admitted

    with pytest.raises(AssertionError, match=" requests of "):
        live_long(Forgetful(BOOTS, make_limits(30, 6_000, 6)), random.Random(1), 10_000)


def make_scope(limits: Limits, now: float = 1_000.0) -> RateScope:
    scope = RateScope("key", "k", now)
    scope.adopt(limits)
    return scope


def lease(scope: RateScope, now: float, number: int = 1, **amounts: int) -> None:
    ask = scope.shape(Amount(1, 0, 1), now, number)
    scope.take(RateAnswer(scope="key", scope_id="k", seq=ask.seq, **amounts), 5.0, now)


def test_without_a_lease_nothing_fits_and_with_one_it_does() -> None:
    """A limit alone lets nobody in: somebody must have said how much of it is ours."""
    scope = make_scope(Limits(version=1, requests_per_minute=10))
    assert scope.lacking(Amount(1, 0, 1), 1_000.0) == "requests_per_minute"
    lease(scope, 1_000.0, lease_requests=1)
    assert not scope.lacking(Amount(1, 0, 1), 1_004.0)
    scope.use(Amount(1, 0, 1), 1_004.0)
    assert scope.lacking(Amount(1, 0, 1), 1_004.5) == "requests_per_minute"


@pytest.mark.parametrize(
    ("part", "fits"),
    [(Part(1, 0), 10), (Part(4, 1), 3), (Part(4, 2), 2), (Part(4, None), 2), (Part(20, 9), 1), (Part(20, 10), 0)],
)
def test_when_nobody_answers_each_gateway_uses_its_part(part: Part, fits: int) -> None:
    """Of the limit, of what it has used in the last minute itself; what is left over belongs to the first ones."""
    scope = make_scope(Limits(version=1, requests_per_minute=10))
    now, let_in = 1_003.0, 0
    while not scope.lacking_of_part(Amount(1, 0, 1), now, part):
        scope.use(Amount(1, 0, 1), now)
        let_in += 1
    assert let_in == fits


@pytest.mark.parametrize("limit", [1, 3, 10])
@pytest.mark.parametrize("gateways", [1, 2, 7])
def test_the_parts_of_all_gateways_are_the_limit(limit: int, gateways: int) -> None:
    """None of it is lost between them, none is there twice."""
    assert sum(Part(gateways, rank).of(limit) for rank in range(gateways)) == limit


@pytest.mark.parametrize(("used_elsewhere", "refused_by"), [(2, ""), (6, "requests_per_minute")], ids=["far", "near"])
def test_whoever_is_overtaken_again_and_again_is_let_in_far_from_the_limit(used_elsewhere: int, refused_by: str) -> None:
    """Its need was told and answered, and others here have used the answer: near a limit that is a refusal, far from it a share counts."""
    scope = make_scope(Limits(version=1, requests_per_minute=12))
    began = 1_000.0
    lease(scope, 1_000.01, lease_requests=1, others_requests=used_elsewhere)
    scope.use(Amount(1), 1_000.02)
    assert scope.lacking(Amount(1), 1_000.05) == "requests_per_minute"
    assert not scope.spent_by(Amount(1), 1_000.05)
    assert scope.lacking_after_wait(Amount(1), 1_000.05, began=began, part=Part(2, None)) == refused_by
    assert scope.lacking_after_wait(Amount(1), 1_000.05, began=1_000.04, part=Part(2, None)) == ""
    assert scope.lacking_after_wait(Amount(1), 1_000.05, began=1_000.04, part=Part(12, None)) == "requests_per_minute"


@pytest.mark.parametrize("idle", [0, 1])
def test_whoever_waited_in_vain_is_refused_by_all_that_was_heard_lately(idle: int) -> None:
    """Though this gateway's part would let it in: what others have used or leased a moment ago is theirs, needed or not."""
    scope = make_scope(Limits(version=1, concurrency=1))
    scope.take(RateAnswer(scope="key", scope_id="k", seq=0, others_slots=1, idle_slots=idle), 5.0, 1_000.0)
    late = {"began": 1_000.1, "part": Part(2, 0)}
    assert scope.lacking_after_wait(Amount(1, 0, 1), 1_000.2, **late) == "concurrency"
    assert not scope.lacking_after_wait(Amount(1, 0, 1), 1_003.0, **late), "nobody has been heard of for long"


def test_in_shadow_mode_others_count_by_what_they_use() -> None:
    """As a limit that refuses: what they only keep ready comes back; what they have in flight does not."""
    scope = make_scope(Limits(version=1, requests_per_minute=10, concurrency=3))
    ask = scope.shape(Amount(), 1_000.0, 1)
    answer = RateAnswer(scope="key", scope_id="k", seq=ask.seq, others_requests=10, idle_requests=4, others_slots=2, idle_slots=2)
    scope.take(answer, 5.0, 1_000.1)
    assert not scope.passed_by(Amount(4, 0, 1), 1_000.2)
    assert scope.passed_by(Amount(5, 0, 1), 1_000.2) == "requests_per_minute"
    assert scope.passed_by(Amount(1, 0, 2), 1_000.2) == "concurrency"


def test_a_newer_limit_voids_the_lease_on_the_older_one() -> None:
    """What was leased of a higher limit is not used on a lower one."""
    scope = make_scope(Limits(version=1, requests_per_minute=10))
    lease(scope, 1_000.0, lease_requests=9)
    scope.adopt(Limits(version=2, requests_per_minute=1))
    assert scope.lacking(Amount(1, 0, 1), 1_001.0) == "requests_per_minute"


def test_what_is_spent_is_told_apart_from_what_is_not_leased_yet() -> None:
    """A scope that nobody has answered for is not spent, whatever its lease; others' use counts while it is fresh."""
    scope = make_scope(Limits(version=1, requests_per_minute=3))
    assert not scope.spent_by(Amount(1), 1_000.0)
    lease(scope, 1_000.0, others_requests=3)
    assert scope.spent_by(Amount(1), 1_000.5) == "requests_per_minute"
    assert not scope.spent_by(Amount(1), 1_003.0)
    for _ in range(3):
        scope.use(Amount(1), 1_003.0)
    assert scope.spent_by(Amount(1), 1_004.0) == "requests_per_minute"


def test_far_from_a_large_limit_a_small_part_of_it_is_kept_at_hand() -> None:
    """So that the first burst after a quiet time need not ask again and again; near the limit there is nothing to spare."""
    limit = 100_000
    scope = make_scope(Limits(version=1, requests_per_minute=limit))
    scope.use(Amount(1), 1_000.0)
    assert 100 < scope.shape(Amount(1), 1_000.0, 1).want_requests < limit / 100
    scope.take(RateAnswer(scope="key", scope_id="k", seq=1, others_requests=limit * 2 // 3), 5.0, 1_000.0)
    assert scope.shape(Amount(1), 1_000.1, 2).want_requests < 10


def test_left_alone_far_from_the_limit_it_keeps_a_few_ready_for_a_minute() -> None:
    """So that the next request need not wait; near the limit others need what would lie here."""
    quiet = BUSY_SECONDS + 1
    for limit, ready in ((100, True), (2, False)):
        scope = make_scope(Limits(version=1, requests_per_minute=limit))
        scope.use(Amount(1), 1_000.0)
        scope.use(Amount(1), 1_000.0)
        assert (scope.shape(Amount(), 1_000.0 + quiet, 1).want_requests > 0) is ready
        assert scope.shape(Amount(), 1_061.0 + quiet, 2).want_requests == 0


def come_over(world: RateWorld, number: int, tokens: int = 10) -> bool:
    """A request that its boot has no lease for: it asks, is answered, what others do not need is recalled, and it asks again."""
    if world.admit(number, tokens):
        return True
    world.converse(number, Amount(1, tokens, 1))
    for other in range(BOOTS):
        if other != number:
            world.recall(other)
            world.converse(other, Amount())
    world.converse(number, Amount(1, tokens, 1))
    return world.admit(number, tokens)


def test_what_one_boot_does_not_need_another_has_at_once() -> None:
    """One at a time through all gateways in turn: none of them keeps the only slot, nor the last requests and tokens of a minute."""
    world = RateWorld(BOOTS, make_limits(12, 120, 1))
    for turn in range(12):
        assert come_over(world, turn % BOOTS), f"request {turn + 1}"
        world.pass_time(0.5)
        world.end(turn % BOOTS, 10)
        world.pass_time(2 * JUST_TOLD)
    assert not come_over(world, 0), "the minute is used up"
    assert not world.breaches()


def test_a_slot_in_use_is_not_given_back() -> None:
    """Whoever holds the only slot keeps it until its request has ended; who has waited in vain speaks for those who come after it."""
    world = RateWorld(BOOTS, make_limits(100, 10_000, 1))
    wanted = Amount(1, 10, 1)
    assert come_over(world, 0)
    world.pass_time(1)
    assert not come_over(world, 1)
    scope = world.boots[1].scope
    assert not scope.refused_by(wanted, world.now), "it may end at any moment"
    scope.waited_in_vain(world.now)
    assert scope.refused_by(wanted, world.now) == "concurrency"
    world.pass_time(LATELY)
    assert not scope.refused_by(wanted, world.now)
    world.end(0, 10)
    assert come_over(world, 1)


def test_what_a_silent_boot_had_is_refused_at_once() -> None:
    """Nobody can give it back; what has been returned and is used up is no reason to wait either."""
    world = RateWorld(BOOTS, make_limits(3, 10_000, 9))
    for number in (0, 0, 1):
        assert come_over(world, number)
    world.pass_time(VALID_SECONDS + 1)
    world.converse(2, Amount(1, 10, 1))
    assert world.boots[2].scope.refused_by(Amount(1, 10, 1), world.now) == "requests_per_minute"


def test_a_recall_gives_back_all_but_what_waiting_requests_need() -> None:
    """And for a second nothing is kept ready; what was just told is not told again."""
    scope = make_scope(Limits(version=1, requests_per_minute=100, concurrency=10))
    lease(scope, 1_000.0, lease_requests=20, lease_slots=5)
    assert not scope.recall(1_000.0 + JUST_TOLD / 2)
    assert scope.recall(1_001.0)
    ask = scope.shape(Amount(2, 0, 2), 1_001.0, 2)
    assert (ask.kept_requests, ask.kept_slots) == (ask.want_requests, ask.want_slots) == (2, 2)
    scope.take(RateAnswer(scope="key", scope_id="k", seq=2, lease_requests=2, lease_slots=2), 5.0, 1_001.1)
    assert scope.shape(Amount(), 1_001.5, 3).kept_requests == 0
    assert scope.shape(Amount(1, 0, 1), 1_003.0, 4).want_requests > 1
