"""Counting prompts with the real tokenizers."""

import json
from typing import Any

import pytest

from gateway.domain import chat_request
from gateway.outbound.tokenizers import SAMPLE, WHOLE, Tokenizers


@pytest.fixture(scope="module")
def count() -> Tokenizers:
    return Tokenizers(["o200k_base", "cl100k_base", ""])


def read(content: Any) -> chat_request.ChatRequest:
    return chat_request.read(json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode())[0]


@pytest.mark.parametrize(("family", "tokens"), [("o200k_base", 2), ("cl100k_base", 2)])
def test_text_is_counted_by_the_family(count: Tokenizers, family: str, tokens: int) -> None:
    """As the provider would: two words, two tokens; all parts of all messages."""
    assert count(family, read("hello world")) == tokens
    assert count(family, read([{"type": "text", "text": "hello"}, {"type": "text", "text": " world"}])) in (2, 3)


def test_special_tokens_in_a_prompt_are_text(count: Tokenizers) -> None:
    """Whoever writes them means the letters."""
    assert (count("o200k_base", read("<|endoftext|>")) or 0) > 1


def test_a_family_that_is_not_known_is_not_counted(count: Tokenizers) -> None:
    """Somebody else then guesses by the length."""
    assert count("", read("hello")) is None
    assert count("llama", read("hello")) is None


@pytest.mark.parametrize("text", ["word ", "0123456789abcdef", "你好，世界。", " ", "a"])
def test_long_prompts_are_sampled(count: Tokenizers, text: str) -> None:
    """Close to what they would come to, in the time of the samples: beginning, middle and end."""
    whole = count("o200k_base", read((text * WHOLE)[:WHOLE])) or 0
    sampled = count("o200k_base", read((text * WHOLE * 10)[: WHOLE * 10])) or 0
    assert abs(sampled - 10 * whole) <= 0.05 * 10 * whole + 100
    uneven = count("o200k_base", read(" " * WHOLE * 3 + "0a1b2c3d" * SAMPLE)) or 0
    assert uneven > SAMPLE, "a dense end is not hidden by a thin beginning"
