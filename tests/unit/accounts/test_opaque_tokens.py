"""The format of opaque tokens."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.opaque_tokens import PREFIXES, TOKEN_PATTERN, Kind, digest_of, hint_of, kind_of, make
from common.base62 import ALPHABET, decode, encode

KINDS: tuple[Kind, ...] = get_args(Kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_says_what_it_is_for(kind: Kind):
    """By its prefix; two are never the same."""
    token = make(kind)
    assert kind_of(token) == kind
    assert token.startswith(PREFIXES[kind])
    assert len(token) == 56
    assert make(kind) != token


@given(st.sampled_from(KINDS), st.integers(0, 55), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed(kind: Kind, place: int, character: str):
    """Anywhere, the prefix and the checksum included."""
    token = make(kind)
    typed = token[:place] + character + token[place + 1 :]
    assert (kind_of(typed) == kind) == (typed == token)


@given(st.text())
def test_no_text_is_taken_for_a_token(text: str):
    """Whatever stands in the header; a line break at the end neither."""
    assert kind_of(text) is None
    assert kind_of(make("personal") + "\n") is None


def test_the_hint_gives_nothing_away():
    """Eight of 49 characters, four of them of the checksum."""
    token = make("service_account")
    hint = hint_of(token)
    assert (len(hint), hint[:7], hint[7:11], hint[-4:]) == (16, "cf-sat-", token[7:11], token[-4:])
    assert not TOKEN_PATTERN.search(hint)


def test_the_digest_is_that_of_the_whole_token():
    """So that a token of one kind is never one of another."""
    token = make("personal")
    assert len(digest_of(token)) == 64
    assert digest_of(token) != digest_of(token.replace("cf-pat-", "cf-sat-"))


@given(st.integers(0, 62**7 - 1))
def test_base62_is_read_back(number: int):
    """Also with leading zeros."""
    assert decode(encode(number, 7)) == number
