"""The arithmetic of the key measurements."""

import random

import pytest
from bench.keys.figures import Equivalence, equivalence, quantile, summary


def series(middle: float, seed: int, count: int = 5_000) -> list[float]:
    """Times with noise and some hiccups."""
    source = random.Random(seed)
    return [source.gauss(middle, 20) + (5_000 if source.random() < 0.01 else 0) for _ in range(count)]


def test_a_quantile_is_one_of_the_values():
    """The smallest that so many do not exceed."""
    assert [quantile([4, 1, 3, 2], share) for share in (0.25, 0.5, 0.99, 1)] == [1, 2, 4, 4]


def test_a_summary_of_nothing_claims_nothing():
    """No quantile of no value."""
    assert summary([]) == {"count": 0}
    assert summary([1.0, 3.0]) == {"count": 2, "p50": 1.0, "p99": 3.0, "max": 3.0}


def test_equal_series_are_equivalent():
    """In spite of noise and hiccups."""
    assert equivalence(series(300, 1), series(300, 2), bound=3).holds


@pytest.mark.parametrize("difference", [-6, 6])
def test_a_difference_beyond_the_bound_is_not_equivalence(difference: float):
    """In either direction."""
    found = equivalence(series(300 + difference, 1), series(300, 2), bound=3)
    assert not found.holds
    assert found.low < difference < found.high


def test_too_few_measurements_prove_nothing():
    """A wide interval is no equivalence, although its middle is near zero."""
    assert not equivalence(series(300, 1, count=40), series(300, 2, count=40), bound=3).holds


def test_the_whole_interval_counts():
    """Touching the bound is not enough."""
    assert Equivalence(mean=0, low=-1, high=1, bound=2).holds
    assert not Equivalence(mean=0, low=-1, high=2, bound=2).holds
