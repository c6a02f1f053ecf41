"""Holds on grants: what is reserved, settled and granted never contradict each other."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.grants import ScopeAnswer
from gateway.domain.budget import Hold, ScopeAccount


def make_account(tokens: int | None = 1000, nanousd: int | None = None) -> ScopeAccount:
    return ScopeAccount("project", "p", "2026-11", tokens, nanousd, 1)


def make_answer(seq: int, tokens: int, nanousd: int | None = None) -> ScopeAnswer:
    return ScopeAnswer(
        scope="project",
        scope_id="p",
        period="2026-11",
        seq=seq,
        status="granted",
        granted_tokens=tokens,
        granted_nanousd=nanousd,
    )


def test_nothing_is_admitted_without_a_grant() -> None:
    """A limited scope starts with nothing granted."""
    assert not Hold((make_account(),)).try_take(1, 0)


def test_a_unit_without_limit_needs_no_grant() -> None:
    """Only units that have a limit are checked."""
    account = make_account(tokens=None, nanousd=None)
    assert Hold((account,)).try_take(10**12, 10**15)


def test_a_hold_is_taken_in_all_accounts_or_in_none() -> None:
    """An exhausted second scope leaves the first untouched."""
    rich, poor = make_account(), make_account()
    rich.take_answer(make_answer(1, 500))
    assert not Hold((rich, poor)).try_take(100, 0)
    assert rich.reserved_tokens == 0


def test_settling_twice_books_once() -> None:
    """The second settlement of a hold changes nothing."""
    account = make_account()
    account.take_answer(make_answer(1, 500))
    hold = Hold((account,))
    assert hold.try_take(400, 0)
    hold.settle(100, 0)
    hold.settle(100, 0)
    assert (account.settled_tokens, account.reserved_tokens) == (100, 0)


def test_an_answer_older_than_our_return_is_void() -> None:
    """A grant that crosses with a return on the wire is not adopted: the authority has taken it back already."""
    account = make_account()
    account.seq = 1
    account.give_back()
    account.take_answer(make_answer(1, 900))
    assert account.granted_tokens == 0
    account.take_answer(make_answer(2, 300))
    assert account.granted_tokens == 300


def test_a_lowered_limit_is_noticed_and_a_raised_one_needs_no_return() -> None:
    """Only lowering or adding a limit asks for what is unspent."""
    account = make_account(tokens=1000)
    assert account.change_limits(500, None, 2)
    assert not account.change_limits(800, None, 3)
    assert not account.change_limits(100, None, 3), "the same version again changes nothing"
    assert account.change_limits(800, 5, 4)


@pytest.mark.parametrize(
    ("used", "held", "unit"),
    [
        ((1_000, 500), (0, 0), "nanousd"),
        ((1_000, 200), (0, 300), "nanousd"),
        ((10**9, 0), (0, 0), "tokens"),
        ((0, 0), (10**9, 0), "tokens"),
        ((10**9, 500), (0, 0), "tokens"),
        ((0, 500), (10**9, 0), "nanousd"),
        ((0, 0), (0, 0), "tokens"),
    ],
    ids=["money spent", "money held", "tokens spent", "tokens held", "both spent", "money spent, tokens held", "neither"],
)
def test_the_unit_that_refuses_is_the_one_that_the_authority_is_out_of(
    used: tuple[int, int], held: tuple[int, int], unit: str
) -> None:
    """While one unit is out neither is granted: a grant that is short does not tell which it was."""
    account = make_account(tokens=10**9, nanousd=500)
    answer = msgspec.structs.replace(
        make_answer(1, 0, 0), used_tokens=used[0], used_nanousd=used[1], held_tokens=held[0], held_nanousd=held[1]
    )
    account.take_answer(answer)
    assert account.short_unit(10, 10) == unit


def test_before_any_answer_the_grant_says_which_unit_is_short() -> None:
    """It is all that is known."""
    account = make_account(tokens=1_000, nanousd=500)
    assert account.short_unit(10, 10) == "tokens"
    account.granted_tokens = 100
    assert account.short_unit(10, 10) == "nanousd"


steps = st.lists(
    st.one_of(
        st.tuples(st.just("hold"), st.integers(1, 60)),
        st.tuples(st.just("settle"), st.integers(0, 60)),
        st.tuples(st.just("grant"), st.integers(0, 500)),
        st.tuples(st.just("return"), st.just(0)),
    ),
    max_size=80,
)


@given(steps)
def test_settled_plus_reserved_never_exceeds_the_largest_grant(sequence: list[tuple[str, int]]) -> None:
    """Whatever the order of holds, settlements within them, grants, repeats and returns."""
    account = make_account(tokens=10**6)
    authority = 0
    holds: list[Hold] = []
    for step, amount in sequence:
        if step == "hold":
            hold = Hold((account,))
            if hold.try_take(amount, 0):
                holds.append(hold)
        elif step == "settle" and holds:
            hold = holds.pop(amount % len(holds))
            hold.settle(min(amount, hold.tokens), 0)
        elif step == "grant":
            account.seq += 1
            authority = max(authority, amount)
            account.take_answer(make_answer(account.seq, authority))
        elif step == "return":
            account.give_back()
            authority = account.granted_tokens
        assert account.settled_tokens + account.reserved_tokens <= account.granted_tokens <= authority
        assert min(account.settled_tokens, account.reserved_tokens) >= 0
    for hold in holds:
        hold.settle(0, 0)
    assert account.reserved_tokens == 0
