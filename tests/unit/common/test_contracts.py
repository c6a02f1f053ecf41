"""Contracts in common: keys, identifiers, prices, periods, roles."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts import api_keys, prices
from common.contracts.events import Usage
from common.contracts.identifiers import uuid7
from common.contracts.periods import period_day, period_end, period_month
from common.contracts.roles import PERMISSIONS, permits


def test_a_key_is_found_by_its_lookup_and_verified_by_its_digest() -> None:
    """A made key is well-formed, and only it has its digest."""
    lookup = api_keys.make_lookup()
    key, other = api_keys.make_key(lookup), api_keys.make_key(lookup)
    peppers = api_keys.Peppers.parse("1:" + "ab" * 32)
    assert api_keys.lookup_of(key) == lookup
    assert api_keys.KEY_PATTERN.fullmatch(key)
    assert peppers.digest(key) != peppers.digest(other)


@given(st.integers(0, api_keys.KEY_LENGTH - 1), st.sampled_from(api_keys.ALPHABET))
def test_a_mistyped_key_is_refused_without_a_lookup(position: int, character: str) -> None:
    """One wrong character anywhere breaks the prefix or the checksum."""
    key = api_keys.make_key("0123456789abcdef")
    wrong = key[:position] + character + key[position + 1 :]
    assert (api_keys.lookup_of(wrong) is None) == (wrong != key)


@pytest.mark.parametrize("text", ["", "1:zz", "x:" + "ab" * 32, "1:abcd"])
def test_wrong_peppers_are_refused_without_being_printed(text: str) -> None:
    """The sentence names the form, not the value."""
    with pytest.raises(ValueError, match="VERSION:HEX") as refused:
        api_keys.Peppers.parse(text)
    assert not text or text not in str(refused.value)


def test_both_peppers_are_accepted_and_the_newest_signs() -> None:
    """During a rotation old digests go on working."""
    both = api_keys.Peppers.parse(f"1:{'ab' * 32},2:{'cd' * 32}")
    old = api_keys.Peppers.parse("1:" + "ab" * 32)
    assert both.digest("k", 1) == old.digest("k")
    assert both.digest("k") == both.digest("k", 2) != old.digest("k")


def test_identifiers_rise_with_time() -> None:
    """UUIDv7: version, variant, and the millisecond it was made in."""
    made = uuid7()
    assert (made[14], made[19] in "89ab", len(made)) == ("7", True, 36)
    assert abs((UUID(made).int >> 80) - datetime.now(UTC).timestamp() * 1000) < 5000


def test_every_price_is_dated_and_sourced() -> None:
    """The built-in book says where each rate comes from, and has the models that the example configuration names."""
    book = prices.built_in_book()
    assert {"gpt-4o-mini", "gpt-4o", "fast", "deep", "sim-fast-1", "sim-deep-1"} <= set(book.models)
    for price in book.models.values():
        assert datetime.fromisoformat(price.effective_from)
        assert price.source


def tiles(base: int, per_tile: int) -> int:
    """Tokens of the largest picture that OpenAI cuts into tiles of 512 pixels: it is made 2,048 by 768 at most."""
    return base + per_tile * (2048 // 512) * -(-768 // 512)


def patches(multiplier: str) -> int:
    """And of one that is counted by patches: 1,536 at most."""
    return math.ceil(1536 * Decimal(multiplier))


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("gpt-4o-mini", tiles(2833, 5667)),
        ("fast", tiles(2833, 5667)),
        ("gpt-4o", tiles(85, 170)),
        ("deep", tiles(85, 170)),
        ("gpt-4.1", max(tiles(85, 170), patches("1"))),
        ("gpt-4.1-mini", patches("1.62")),
        ("gpt-4.1-nano", patches("2.46")),
        ("o4-mini", patches("1.72")),
    ],
)
def test_no_picture_counts_more_than_the_book_says(model: str, most: int) -> None:
    """By OpenAI's arithmetic, at high detail."""
    assert prices.built_in_book().models[model].image_tokens >= most


def test_a_price_that_stands_in_counts_images_by_no_known_table() -> None:
    """Nor does one that says nothing about images: both by more than any table of the book."""
    book = prices.built_in_book()
    assert max(price.image_tokens for price in book.models.values()) < prices.IMAGE_TOKENS
    assert prices.dearest_of([book.models["gpt-4o"]], "v").image_tokens == prices.IMAGE_TOKENS
    assert prices.ModelPrice(input=1, output=1, effective_from="v", source="a test").image_tokens == prices.IMAGE_TOKENS


tokens = st.integers(0, 10**9)


@given(tokens, tokens, tokens)
def test_a_cost_is_rounded_up_once_and_never_exceeds_its_bound(prompt: int, completion: int, cached: int) -> None:
    """Money is exact to the nano-USD, and a hold covers it."""
    price = prices.ModelPrice(
        input=150_000_001, cached_input=75_000_000, output=600_000_007, effective_from="2026-01-01", source="t"
    )
    cached = min(cached, prompt)
    cost = price.cost(Usage(prompt_tokens=prompt, completion_tokens=completion, cached_prompt_tokens=cached))
    exact = (prompt - cached) * price.input + cached * 75_000_000 + completion * price.output
    assert 0 <= cost * 1_000_000 - exact < 1_000_000
    assert cost <= price.bound(prompt, completion)


def test_periods_follow_the_organizations_calendar() -> None:
    """Near midnight the day and the month depend on the zone; the end is the next local midnight, also across a DST change."""
    moment = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)
    assert (period_day(moment, "UTC"), period_month(moment, "UTC")) == ("2026-10-31", "2026-10")
    assert (period_day(moment, "Europe/Berlin"), period_month(moment, "Europe/Berlin")) == ("2026-11-01", "2026-11")
    assert period_end("2026-10-25", "Europe/Berlin") == datetime(2026, 10, 25, 23, 0, tzinfo=UTC)
    assert period_end("2026-12", "UTC") == datetime(2027, 1, 1, tzinfo=UTC)


def test_what_is_not_listed_is_denied() -> None:
    """An unknown or missing role permits nothing."""
    assert not permits(None, "usage.read")
    assert not permits("emperor", "usage.read")
    assert permits("viewer", "usage.read")
    assert not permits("viewer", "keys.manage")
    assert PERMISSIONS["owner"] >= PERMISSIONS["admin"] >= PERMISSIONS["viewer"]
