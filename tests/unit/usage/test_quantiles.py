"""Percentiles from buckets are within 5 % of the truth and add up."""

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from usage.domain.quantiles import ACCURACY, bucket_of, quantile

durations = st.integers(1_000, 600_000_000)


@given(st.lists(durations, min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_estimates_are_within_five_percent(observed: list[int], q: float) -> None:
    """The estimate is within 5 % of the observation of that rank."""
    found = quantile(Counter(map(bucket_of, observed)), q)
    exact = sorted(observed)[max(1, math.ceil(q * len(observed))) - 1]
    assert found is not None
    assert abs(found - exact) <= exact * (ACCURACY + 1e-6)


@given(st.lists(durations), st.lists(durations))
def test_counts_of_two_days_add_up(first: list[int], second: list[int]) -> None:
    """Buckets of parts, added, are the buckets of the whole."""
    parts = Counter(map(bucket_of, first)) + Counter(map(bucket_of, second))
    assert parts == Counter(map(bucket_of, first + second))


def test_nothing_observed_has_no_percentile() -> None:
    """None, not zero."""
    assert quantile({}, 0.5) is None


def test_extremes_share_the_outer_buckets() -> None:
    """Nothing is too short or too long to be counted."""
    assert bucket_of(0) == bucket_of(1_000) == 0
    assert bucket_of(10**15) == bucket_of(600_000_000) < 140
