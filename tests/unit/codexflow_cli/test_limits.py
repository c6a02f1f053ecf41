"""Limits and other fields as they are typed."""

import pytest

from codexflow_cli.errors import WrongUse
from codexflow_cli.limits import FIELDS, parse_limits
from codexflow_cli.options import changes, given, number, pairs
from common.contracts.directory import LIMIT_NAMES


def test_every_limit_of_the_contract_can_be_typed() -> None:
    """Neither more nor less than the directory knows."""
    assert sorted(FIELDS.values()) == sorted(LIMIT_NAMES)


def test_money_is_typed_in_usd_and_counts_are_counts() -> None:
    """`none` takes a limit away."""
    assert parse_limits(["monthly-cost=0.50", "daily-tokens=1000", "concurrency=none"]) == {
        "monthly_cost_nanousd": 500_000_000,
        "daily_tokens": 1000,
        "concurrency": None,
    }
    assert parse_limits([]) is None


@pytest.mark.parametrize(
    "typed",
    ["monthly-cost", "monthly=5", "=5", "daily-tokens=1.5", "daily-tokens=-1", "daily-tokens=", "concurrency=" + "9" * 5000],
)
def test_a_wrong_limit_is_said(typed: str) -> None:
    """With what was typed."""
    with pytest.raises(WrongUse, match=r"NAME=VALUE|whole number"):
        parse_limits([typed])


def test_only_what_was_given_is_sent() -> None:
    """`none` is null where the API knows null, and a name where it does not."""
    assert given(name="none", models=["none"], expires_at="none", slug=None, tags={}) == {
        "name": "none",
        "models": None,
        "expires_at": None,
    }
    with pytest.raises(WrongUse, match="Nothing to change"):
        changes(name=None, models=[])


def test_pairs_and_numbers() -> None:
    """A value may hold an equals sign; what is neither a number nor `none` is refused."""
    assert pairs(["team=search", "query=a=b"]) == {"team": "search", "query": "a=b"}
    assert (number("30"), number("none"), number(None)) == (30, "none", None)
    for wrong in ("thirty", "-1", "1.5"):
        with pytest.raises(WrongUse):
            number(wrong)
    with pytest.raises(WrongUse, match="name=value"):
        pairs(["team"])
