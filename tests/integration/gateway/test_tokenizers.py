"""Counting prompts with the real tokenizers."""

import base64
import json
import random
from typing import Any

import pytest

from gateway.domain import chat_request
from gateway.domain.output_meter import OutputMeter
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


RANDOM = random.Random(7)
KINDS = {
    "prose": ("A request counts against several scopes, each by the month and by the day of its time zone. " * 60, 0.5, 1.0),
    "code": ("def admit(ask: Ask, lease: Lease) -> Admitted | Refused:\n    return lease.left[0] >= ask.tokens\n" * 60, 0.5, 1.0),
    "base64": (base64.b64encode(RANDOM.randbytes(4_000)).decode(), 0.5, 1.1),
    "hexadecimal": (RANDOM.randbytes(3_000).hex(), 0.5, 1.1),
    "numbers": (",".join(str(RANDOM.randrange(100)) for _ in range(2_000)), 0.5, 1.1),
    "digits": (" ".join(str(RANDOM.randrange(10)) for _ in range(3_000)), 0.5, 1.1),
    "json": (json.dumps([{"id": number, "at": RANDOM.random()} for number in range(200)]), 0.4, 1.1),
    "chinese": ("在过去的几十年里，人工智能技术取得了巨大的进步，特别是在自然语言处理领域。" * 60, 0.5, 1.3),
    "emoji": ("".join(chr(RANDOM.randrange(0x1F300, 0x1F600)) for _ in range(1_500)), 0.5, 1.7),
    "tibetan": ("".join(chr(RANDOM.randrange(0xF40, 0xF6A)) for _ in range(2_000)), 0.5, 1.7),
    "letters at random": ("".join(RANDOM.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(6_000)), 0.5, 1.7),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["o200k_base", "cl100k_base"])
@pytest.mark.parametrize("characters", [20, 40, 200])
def test_a_stream_is_metered_close_to_its_tokens(count: Tokenizers, kind: str, family: str, characters: int) -> None:
    """Many tokens to an event: how far what is seen of them may be off, either way, for each kind of text (decision 13)."""
    text, least, most = KINDS[kind]
    meter = OutputMeter()
    for start in range(0, len(text), characters):
        delta = {"content": text[start : start + characters]}
        meter.feed(b"data: " + json.dumps({"choices": [{"delta": delta}]}, ensure_ascii=False).encode() + b"\n\n")
    assert least <= (count(family, read(text)) or 0) / meter.seen <= most
