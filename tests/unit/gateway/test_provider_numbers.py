"""What an upstream says in numbers: nonsense counts as not said, and never breaks an answer."""

import pytest

from common.contracts.events import Usage
from gateway.use_cases.provider_numbers import believable, reported_cost, retry_after_of


@pytest.mark.parametrize(
    ("header", "cost"),
    [
        (None, None),
        (b"0", 0),
        (b"0.0000015", 1500),
        (b"1e-9", 1),
        (b"-1", None),
        (b"nan", None),
        (b"inf", None),
        (b"-inf", None),
        (b"1e300", None),
        (b"9007199.5", None),
        (b"a lot", None),
        (b"\xff", None),
    ],
)
def test_a_reported_cost_is_finite_and_within_what_readers_hold(header: bytes | None, cost: int | None) -> None:
    """Anything else is no cost at all."""
    assert reported_cost(header) == cost


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 0), (b"", 0), (b"2", 2), (b"1.5", 1.5), (b"-3", 0), (b"inf", 0), (b"nan", 0), (b"1e300", 0), (b"tomorrow", 0)],
)
def test_a_retry_after_that_cannot_be_meant_is_none(header: bytes | None, seconds: float) -> None:
    """Dates, infinities and centuries count as absent."""
    assert retry_after_of(header) == seconds


@pytest.mark.parametrize("field", ["prompt_tokens", "completion_tokens", "cached_prompt_tokens", "reasoning_tokens"])
@pytest.mark.parametrize("count", [2**53, 10**30, 1_000_000_001])
def test_an_absurd_count_makes_the_usage_a_missing_one(field: str, count: int) -> None:
    """Whichever of its fields it is in."""
    assert believable(Usage(**{field: count})) is None


def test_an_ordinary_usage_is_believed() -> None:
    """As it is, zero included; a missing one stays missing."""
    usage = Usage(prompt_tokens=0, completion_tokens=128_000)
    assert believable(usage) is usage
    assert believable(None) is None
