"""Budgets under every disorder that can be thought of: whatever order things happen in, the laws hold at every step."""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit.budgets.simulated_world import PERIOD_SECONDS, SLICE, World

GATEWAYS = 4
pick = st.integers(0, 50)
number = st.integers(0, GATEWAYS - 1)


class Disorder(RuleBasedStateMachine):
    """Hypothesis chooses what happens next, and finds the shortest story of a breach."""

    @initialize(seed=st.integers(0, 2**16), project=st.integers(0, 400), key=st.integers(0, 400))
    def begin(self, seed: int, project: int, key: int) -> None:
        self.world = World(seed, gateways=GATEWAYS, project_limit=project, key_limit=key)

    @rule(number=number, estimate=st.integers(1, 60), sliced=st.booleans())
    def admit(self, number: int, estimate: int, sliced: bool) -> None:
        """A request asks to be let in."""
        self.world.admit(self.world.gateways[number], SLICE if sliced else estimate, sliced=sliced)

    @rule(number=number, pick=pick)
    def extend(self, number: int, pick: int) -> None:
        """A stream needs another slice."""
        gateway = self.world.gateways[number]
        streams = [request for request in gateway.requests if request.sliced]
        if streams:
            self.world.extend(gateway, streams[pick % len(streams)])

    @rule(number=number, pick=pick, spent=st.integers(0, 80))
    def end(self, number: int, pick: int, spent: int) -> None:
        """A request ends: answered, failed, cut, or its client gone."""
        gateway = self.world.gateways[number]
        if gateway.requests and not gateway.paused:
            self.world.end(gateway, gateway.requests[pick % len(gateway.requests)], spent)

    @rule(number=number, need=st.integers(0, 80))
    def ask(self, number: int, need: int) -> None:
        """A gateway asks for more, or says what it has returned."""
        self.world.ask(self.world.gateways[number], need)

    @rule(pick=pick, again=st.booleans())
    def hear_ask(self, pick: int, again: bool) -> None:
        """The authority hears one of the asks."""
        self.world.hear_ask(pick, again=again)

    @rule(pick=pick, again=st.booleans())
    def hear_answer(self, pick: int, again: bool) -> None:
        """A gateway hears one of the answers."""
        self.world.hear_answer(pick, again=again)

    @rule(pick=pick)
    def hear_recall(self, pick: int) -> None:
        """A gateway is asked to return what it has not reserved."""
        self.world.hear_recall(pick)

    @rule(number=number, pick=pick)
    def recall(self, number: int, pick: int) -> None:
        """The same once more, or very late."""
        self.world.recall(self.world.gateways[number], pick)

    @rule(pick=pick)
    def lose(self, pick: int) -> None:
        """Messages are lost."""
        self.world.lose(pick)

    @rule(number=number, grave=st.booleans())
    def book(self, number: int, grave: bool) -> None:
        """Something settled reaches the books, also of a gateway that is dead."""
        graves = self.world.graves
        self.world.book(graves[number % len(graves)] if grave and graves else self.world.gateways[number])

    @rule(number=number)
    def kill(self, number: int) -> None:
        """kill -9."""
        self.world.kill(self.world.gateways[number])

    @rule(number=number)
    def pause(self, number: int) -> None:
        """A gateway stands still, or goes on with what it knew."""
        gateway = self.world.gateways[number]
        gateway.paused = not gateway.paused

    @rule(number=number)
    def tick(self, number: int) -> None:
        """A second's look at what it spends: it may return what lies idle."""
        gateway = self.world.gateways[number]
        if not gateway.paused:
            for pace in gateway.paces.values():
                pace.tick(self.world.now)

    @rule(seconds=st.floats(0, 2 * PERIOD_SECONDS))
    def time_passes(self, seconds: float) -> None:
        """Periods end while requests run, on each clock at another moment."""
        self.world.now += seconds

    @rule(scope=st.sampled_from(["project", "key"]), limit=st.integers(0, 400))
    def change_limit(self, scope: str, limit: int) -> None:
        """Somebody raises or lowers a limit."""
        self.world.change_limit(scope, limit)

    @invariant()
    def the_laws_hold(self) -> None:
        """Σ promised ≤ limit, spent ≤ limit + what sliced holds were short, nothing negative, nothing held for nobody."""
        if hasattr(self, "world"):
            assert not self.world.breaches()

    def teardown(self) -> None:
        """When every request has ended, no hold is left anywhere."""
        if not hasattr(self, "world"):
            return
        for gateway in self.world.gateways:
            for request in list(gateway.requests):
                self.world.end(gateway, request, 0)
            assert all(account.reserved_tokens == 0 for account in gateway.accounts.values())


TestDisorder = Disorder.TestCase
TestDisorder.settings = settings(max_examples=150, stateful_step_count=80, deadline=None)


@pytest.mark.parametrize("seed", range(4))
def test_a_long_busy_life(seed: int) -> None:  # noqa: C901 - a table of what can happen
    """Five thousand steps each, drawn as they are likely: much traffic, some loss, now and then a death."""
    draw = random.Random(seed)
    world = World(seed, gateways=GATEWAYS, project_limit=3_000, key_limit=2_000)
    steps = ("admit", "end", "ask", "hear_ask", "hear_answer", "hear_recall", "recall", "book", "lose", "kill", "pause", "time")
    weights = (30, 25, 8, 40, 40, 10, 4, 20, 2, 0.3, 0.5, 1)
    admitted = 0
    for _ in range(5_000):
        gateway = draw.choice(world.gateways)
        match draw.choices(steps, weights)[0]:
            case "admit":
                admitted += world.admit(gateway, draw.randint(1, 60), sliced=draw.random() < 0.3)
            case "end" if gateway.requests and not gateway.paused:
                world.end(gateway, draw.choice(gateway.requests), draw.randint(0, 60))
            case "ask":
                world.ask(gateway, draw.choice((0, 0, 40)))
            case "hear_ask":
                world.hear_ask(draw.randrange(50), again=draw.random() < 0.1)
            case "hear_answer":
                world.hear_answer(draw.randrange(50), again=draw.random() < 0.1)
            case "hear_recall":
                world.hear_recall(draw.randrange(50))
            case "recall":
                world.recall(gateway, draw.randrange(50))
            case "book":
                world.book(draw.choice(world.graves) if world.graves and draw.random() < 0.3 else gateway)
            case "lose":
                world.lose(draw.randrange(50))
            case "kill":
                world.kill(gateway)
            case "pause":
                gateway.paused = not gateway.paused
            case "time":
                world.now += draw.uniform(0, PERIOD_SECONDS / 4)
        assert not world.breaches()
    assert admitted > 20
