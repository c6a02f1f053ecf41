"""The arithmetic of the benchmark's report."""

import pytest
from bench.rounds import Bar, Spread, abba, differences, interval, median_of, per_unit_us, ratios, spread
from hypothesis import given
from hypothesis import strategies as st

COSTS = st.dictionaries(st.integers(0, 20), st.floats(0.1, 1e5), max_size=8)


def test_rounds_run_forwards_then_backwards():
    """Every second round runs in reverse, so that slow drift hits every system alike."""
    assert abba(["a", "b", "c"], 4) == [["a", "b", "c"], ["c", "b", "a"], ["a", "b", "c"], ["c", "b", "a"]]


@given(st.lists(st.text(min_size=1), unique=True, max_size=6), st.integers(0, 12))
def test_every_system_runs_once_a_round(systems, rounds):
    """Each round holds every system exactly once."""
    order = abba(systems, rounds)
    assert len(order) == rounds
    assert all(sorted(one) == sorted(systems) for one in order)


def test_spread_is_median_least_and_most():
    """A spread names the middle value and both ends."""
    assert spread([9.0, 1.0, 4.0]) == Spread(median=4.0, least=1.0, most=9.0)
    assert spread([1.0, 3.0]) == Spread(median=2.0, least=1.0, most=3.0)


def test_nothing_measured_is_none():
    """Without values there is no spread and no median, rather than a zero."""
    assert spread([]) is None
    assert median_of(None) is None
    assert ratios({}, {0: 1.0}) is None
    assert differences({0: 1.0}, {1: 1.0}) is None


def test_cost_per_request_is_in_microseconds():
    """Half a CPU second for ten thousand requests is 50 µs each."""
    assert per_unit_us(0.5, 10_000) == pytest.approx(50.0)


def test_ratio_says_how_much_cheaper_we_are():
    """A peer that costs 1,000 µs against our 10 gives 100, whichever rounds were cheap."""
    found = ratios({0: 10.0, 1: 20.0, 2: 10.0}, {0: 1000.0, 1: 2000.0, 2: 1200.0})
    assert found == Spread(median=100.0, least=100.0, most=120.0)


def test_ratio_below_one_when_the_peer_is_cheaper():
    """A peer that costs a quarter of ours gives 0.25."""
    found = ratios({0: 60.0}, {0: 15.0})
    assert found is not None
    assert found.median == pytest.approx(0.25)


@given(COSTS, COSTS)
def test_ratios_compare_only_rounds_that_both_have(ours, theirs):
    """A round that one side lacks has no part in the ratio."""
    found, common = ratios(ours, theirs), ours.keys() & theirs.keys()
    assert (found is None) == (not common)
    if found is not None:
        each = [theirs[number] / ours[number] for number in common]
        assert (found.least, found.most) == (min(each), max(each))
        assert found.least <= found.median <= found.most


@given(COSTS)
def test_a_system_against_itself_is_one_and_adds_nothing(costs):
    """Comparing a system with itself shows neither gain nor loss."""
    if costs:
        assert ratios(costs, costs) == Spread(1.0, 1.0, 1.0)
        assert differences(costs, costs) == Spread(0.0, 0.0, 0.0)


def test_added_latency_is_taken_round_by_round():
    """What a system adds is the difference within each round, then the median."""
    found = differences({0: 1.5, 1: 9.0, 2: 1.25}, {0: 1.0, 1: 8.5, 2: 1.0})
    assert found == Spread(median=0.5, least=0.25, most=0.5)


@pytest.mark.parametrize(
    ("figure", "at_least", "met"),
    [(80.0, True, True), (79.9, True, False), (80.0, False, True), (80.1, False, False), (None, True, None)],
)
def test_a_bar_is_met_at_its_bound_and_never_without_a_figure(figure, at_least, met):
    """The bound itself passes; a figure that was not measured neither passes nor fails."""
    assert Bar("a promise", figure, 80, at_least=at_least).met is met


@pytest.mark.parametrize(("count", "ends"), [(5, None), (6, (0.0, 5.0)), (10, (1.0, 8.0)), (24, (6.0, 17.0))])
def test_the_interval_of_a_median_goes_by_order(count, ends):
    """As tables of the sign test have it; too few values give none."""
    values = [float(number) for number in range(count)]
    assert interval(values[::-1]) == ends


def test_spread_is_shown_with_both_ends():
    """People read the median with its range."""
    assert Spread(1234.56, 1200.0, 1300.0).show(0) == "1,235 (1,200–1,300)"
