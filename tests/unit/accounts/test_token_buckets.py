"""The buckets of the management API's rate limit."""

from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.token_buckets import MINUTE_SECONDS, REMEMBERED_NAMES, TokenBuckets


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 30)), max_size=200), st.integers(1, 20))
def test_no_span_of_time_holds_more_than_the_burst_and_the_rate(steps: list[tuple[str, float]], per_minute: int):
    """Whatever the rhythm: at most a minute's worth at once and the rate on top; a refused caller who waits as told gets in."""
    buckets, now = TokenBuckets(per_minute), 0.0
    allowed: dict[str, list[float]] = {"a": [], "b": []}
    for name, pause in steps:
        now += pause
        taken = buckets.take(name, now)
        if taken.wait_seconds:
            now += taken.wait_seconds + 1e-6
            assert buckets.take(name, now).wait_seconds == 0
        allowed[name].append(now)
    for times in allowed.values():
        for first, begin in enumerate(times):
            for last, end in enumerate(times[first:], first):
                assert last - first + 1 <= per_minute * (1 + (end - begin) / MINUTE_SECONDS) + 1e-6


def test_what_is_left_is_said():
    """Counted down to the refusal, which costs nothing, and full again when it was said to be."""
    buckets = TokenBuckets(3)
    said = [buckets.take("a", 0.0) for _ in range(5)]
    assert [one.remaining for one in said] == [2, 1, 0, 0, 0]
    assert [one.wait_seconds for one in said] == [0, 0, 0, 20, 20]
    assert [one.full_seconds for one in said] == [20, 40, 60, 60, 60]
    assert buckets.take("b", 0.0).remaining == 2
    assert buckets.take("a", 60.0).remaining == 2


def test_a_clock_that_goes_back_gives_nothing():
    """And takes nothing."""
    buckets = TokenBuckets(1)
    assert buckets.take("a", 100.0).wait_seconds == 0
    assert buckets.take("a", 50.0).wait_seconds == 60


def test_a_flood_of_names_cannot_fill_the_memory_nor_wash_away_who_is_busy():
    """The names that have been quiet for longest are forgotten."""
    buckets = TokenBuckets(2)
    for number in range(REMEMBERED_NAMES * 2):
        buckets.take(str(number), 0.0)
        if number % 10_000 == 0:
            buckets.take("busy", 0.0)
    assert len(buckets) == REMEMBERED_NAMES
    assert buckets.take("busy", 0.0).wait_seconds > 0
