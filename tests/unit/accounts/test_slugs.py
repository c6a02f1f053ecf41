"""Slugs."""

import re
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.slugs import SLUG_LENGTH, SLUG_PATTERN, alternatives, slug_of


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Demo", "demo"), ("Müller & Söhne", "muller-sohne"), ("  a--b  ", "a-b"), ("日本", "fallback"), ("x" * 99, "x" * 63)],
)
def test_a_slug_is_made_of_plain_words(name: str, slug: str):
    """Accents go, other signs become hyphens, and something is always left."""
    assert slug_of(name, "fallback") == slug


@given(st.text(max_size=300))
def test_every_slug_is_one_that_a_client_could_have_chosen(name: str):
    """Also the numbered ones, which all differ."""
    made = list(islice(alternatives(slug_of(name, "fallback")), 50))
    assert len(set(made)) == 50
    for slug in made:
        assert re.match(SLUG_PATTERN, slug)
        assert len(slug) <= SLUG_LENGTH
