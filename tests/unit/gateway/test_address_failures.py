"""Who guesses keys is refused unseen after a while, and let in again evenly."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.address_failures import MOST_ADDRESSES, AddressFailures


@given(st.lists(st.floats(0, 30), max_size=200))
def test_no_more_failures_than_a_bucket_and_its_refill(pauses: list[float]) -> None:
    """Whatever the pace: a bucket's worth at once, and what time has given back since."""
    failures, now, let = AddressFailures(10), 1_000.0, 0
    for pause in pauses:
        now += pause
        if not failures.wait_of("a", now):
            failures.failed("a", now)
            let += 1
    assert let <= 11 + (now - 1_000.0) / 6


@given(st.integers(1, 1000), st.integers(0, 2000), st.floats(0, 90))
def test_what_is_used_is_told_as_it_is_forgotten(per_minute: int, failed: int, later: float) -> None:
    """Every failure at first, fewer evenly after that; whoever has to wait has used the whole limit."""
    failures = AddressFailures(per_minute)
    for _ in range(failed):
        failures.failed("a", 1_000.0)
    assert failures.used_of("a", 1_000.0) == failed
    used = failures.used_of("a", 1_000.0 + later)
    assert abs(used - max(0, failed - per_minute * later / 60)) < 0.6
    if failures.wait_of("a", 1_000.0 + later) > 0:
        assert used >= per_minute


def test_others_are_not_concerned_and_nobody_without_a_bound() -> None:
    """Each address has its own bucket; 0 is no bound."""
    failures, endless = AddressFailures(1), AddressFailures(0)
    for _ in range(3):
        failures.failed("a", 1_000.0)
        endless.failed("a", 1_000.0)
    assert failures.wait_of("a", 1_000.0) > 0
    assert failures.wait_of("b", 1_000.0) == 0
    assert not endless


def test_memory_is_bounded() -> None:
    """The addresses that have failed least lately are forgotten."""
    failures = AddressFailures(1)
    for number in range(MOST_ADDRESSES + 5):
        failures.failed(str(number), 1_000.0)
        failures.failed(str(number), 1_000.0)
    assert failures.wait_of("0", 1_000.0) == 0
    assert failures.wait_of(str(MOST_ADDRESSES), 1_000.0) > 0
