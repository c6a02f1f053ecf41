"""Leases on limits per minute: never more than is free, and all of a need that is."""

from hypothesis import given
from hypothesis import strategies as st

from usage.domain.rate_leases import Share, lease_of

amount = st.integers(0, 1_000)


@given(limit=amount, others=amount, used=amount, kept=amount, need=amount, want=amount, gateways=st.integers(0, 20))
def test_a_lease_grows_by_no_more_than_is_free(
    limit: int, others: int, used: int, kept: int, need: int, want: int, gateways: int
) -> None:
    """And never shrinks: what a boot keeps, it may be using already."""
    lease = lease_of(Share(limit, others, used, kept, need, want), gateways)
    assert lease >= kept
    if lease > kept:
        assert others + used + lease <= limit


def test_needs_come_first_and_wants_are_shared() -> None:
    """What requests wait for is given as far as it is there; beyond, each gateway gets a part that leaves something for the others."""
    assert lease_of(Share(3, 0, 0, 0, 6, 10), 2) == 3
    assert lease_of(Share(100, 0, 0, 0, 0, 80), 4) == 12
    assert lease_of(Share(100, 100, 0, 0, 5, 80), 4) == 0
    assert lease_of(Share(None, 7, 7, 0, 5, 80), 4) == 0
