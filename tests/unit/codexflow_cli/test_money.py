"""Money: what is typed in USD becomes exactly that many nano-USD, and is read back the same."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codexflow_cli.money import LARGEST, to_nanousd, to_usd


@pytest.mark.parametrize(
    ("typed", "nanousd"),
    [
        ("25", 25_000_000_000),
        ("0.50", 500_000_000),
        ("0.5", 500_000_000),
        ("0", 0),
        ("007.00", 7_000_000_000),
        ("0.000000001", 1),
        ("9223372036.854775807", LARGEST),
        (" 1.1 ", 1_100_000_000),
    ],
)
def test_an_amount_is_taken_exactly(typed: str, nanousd: int) -> None:
    """No amount goes through a floating point number."""
    assert to_nanousd(typed) == nanousd


@pytest.mark.parametrize(
    "typed",
    ["", "-1", "-0", "+1", "1e3", "nan", "inf", "1_000", "1,5", "1.", ".5", "0x10", "٣", "$5", "0.0000000001", "9" * 5000],
)
def test_what_is_not_an_amount_is_refused(typed: str) -> None:
    """Neither guessed at nor rounded."""
    with pytest.raises(ValueError, match="give a"):
        to_nanousd(typed)


def test_more_than_the_books_can_hold_is_refused() -> None:
    """One nano-USD above the largest amount is an error, not an overflow at the server."""
    with pytest.raises(ValueError, match=r"9223372036\.854775807"):
        to_nanousd("9223372036.854775808")


@given(st.integers(min_value=0, max_value=LARGEST))
def test_what_is_shown_can_be_typed_again(nanousd: int) -> None:
    """Showing and typing are inverse to each other, and agree with decimal arithmetic."""
    shown = to_usd(nanousd)
    assert to_nanousd(shown) == nanousd
    assert Decimal(shown) * 10**9 == nanousd
    assert len(shown.split(".")[1]) >= 2
