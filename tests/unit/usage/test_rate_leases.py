"""Leases on limits per minute: never more than is free, and all of a need that is."""

from hypothesis import given
from hypothesis import strategies as st

from common.contracts.rates import RateAsk
from usage.domain.rate_leases import Share, lacks_idle, lease_of, told_lease
from usage.outbound.rate_leases_store import RateBooks
from usage.use_cases.answer_rates import answer_rate

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


@given(limit=amount, others=amount, used=amount, kept=amount, need=amount, want=amount)
def test_beyond_the_limit_a_boot_is_told_to_keep_less(
    limit: int, others: int, used: int, kept: int, need: int, want: int
) -> None:
    """Never more than the books say; where all together are beyond the limit, as much less as they are."""
    share = Share(limit, others, used, kept, need, want)
    lease = lease_of(share, 2)
    told = told_lease(share, lease)
    assert told <= lease
    if others + used + kept > limit:
        assert others + used + told == limit
    else:
        assert told == lease


def test_needs_come_first_and_wants_are_shared() -> None:
    """What requests wait for is given as far as it is there; beyond, each gateway gets a part that leaves something for the others."""
    assert lease_of(Share(3, 0, 0, 0, 6, 10), 2) == 3
    assert lease_of(Share(100, 0, 0, 0, 0, 80), 4) == 12
    assert lease_of(Share(100, 100, 0, 0, 5, 80), 4) == 0
    assert lease_of(Share(None, 7, 7, 0, 5, 80), 4) == 0


def test_others_are_asked_only_where_somebody_waits_for_what_they_may_have() -> None:
    """Not where the need is met, and not where nothing could come back."""
    assert lacks_idle(need=3, lease=2, idle=1)
    assert not lacks_idle(need=3, lease=3, idle=9)
    assert not lacks_idle(need=3, lease=0, idle=0)


def test_what_has_no_limit_is_not_idle_and_is_not_recalled() -> None:
    """Requests tell and need slots also where nothing limits them."""
    known = RateBooks("key", "k", 1, 1, 10, None, None, 4, 0, 7, 4, 0, 7)
    answer, _ = answer_rate(RateAsk(scope="key", scope_id="k", seq=2, limit_version=1, limit_requests=10, need_slots=1), known, 2)
    assert (answer.idle_requests, answer.idle_tokens, answer.idle_slots) == (4, 0, 0)


def books(*, ask_seq: int | None, others: int = 0) -> RateBooks:
    """A scope with a limit of 10 requests, known or not."""
    version = None if ask_seq is None else 1
    limit = None if ask_seq is None else 10
    return RateBooks("key", "k", ask_seq, version, limit, None, None, others, 0, 0, 0, 0, 0)


def ask(seq: int) -> RateAsk:
    """Somebody waits for three requests."""
    return RateAsk(scope="key", scope_id="k", seq=seq, limit_version=1, limit_requests=10, need_requests=3, want_requests=3)


def test_a_scope_that_was_forgotten_and_comes_back_is_served() -> None:
    """A boot's numbers rise over all its scopes: whichever side has forgotten the scope, its next ask is a new one."""
    first, row = answer_rate(ask(7), books(ask_seq=None), 1)
    assert (first.seq, first.lease_requests) == (7, 3)
    assert row is not None
    for remembered in (row.seq, None):
        again, stored = answer_rate(ask(41), books(ask_seq=remembered), 1)
        assert (again.seq, again.lease_requests, stored is not None) == (41, 3, True)


def test_an_ask_that_was_overtaken_is_not_answered_with_a_lease() -> None:
    """It says what the boot had before; a lease on that would be one too many."""
    for seq in (1, 7):
        answer, row = answer_rate(ask(seq), books(ask_seq=7), 1)
        assert (answer.seq, answer.lease_requests, row) == (0, 0, None)
