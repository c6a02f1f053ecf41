"""What a provider reports of an answer's usage: taken at its word where it says it, and unknown where it does not."""

import json
from typing import Any

import pytest

from common.contracts.events import NO_USAGE, Usage
from gateway.domain.sse import Relay
from gateway.domain.usage_counting import MalformedAnswer, usage_of

BOTH = {"prompt_tokens": 7, "completion_tokens": 5}
NO_COUNTS: tuple[object, ...] = (-1, 1.5, 1e30, True, False, "5", [], {})


def told(block: object) -> Usage | None:
    return usage_of(json.dumps({"usage": block}).encode())


def streamed(block: object) -> Relay:
    relay = Relay(hide_usage=True)
    relay.feed(b"data: " + json.dumps({"choices": [], "usage": block}).encode() + b"\n\n")
    return relay


@pytest.mark.parametrize(
    ("block", "usage"),
    [
        (BOTH, Usage(prompt_tokens=7, completion_tokens=5)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, NO_USAGE),
        (
            BOTH | {"prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 2}},
            Usage(prompt_tokens=7, completion_tokens=5, cached_prompt_tokens=3, reasoning_tokens=2),
        ),
        (
            BOTH | {"prompt_tokens_details": {"cached_tokens": -3}, "completion_tokens_details": None},
            Usage(prompt_tokens=7, completion_tokens=5),
        ),
        (BOTH | {"prompt_tokens_details": {"cached_tokens": None}}, Usage(prompt_tokens=7, completion_tokens=5)),
        (BOTH | {"cost": {"total_cost": 0.01}, "not_known_yet": [True]}, Usage(prompt_tokens=7, completion_tokens=5)),
        ({"input_tokens": 7, "output_tokens": 5}, Usage(prompt_tokens=7, completion_tokens=5)),
        ({"input_tokens": 0, "output_tokens": 0}, NO_USAGE),
        (
            {
                "input_tokens": 7,
                "output_tokens": 5,
                "input_tokens_details": {"cached_tokens": 3},
                "output_tokens_details": {"reasoning_tokens": 2},
            },
            Usage(prompt_tokens=7, completion_tokens=5, cached_prompt_tokens=3, reasoning_tokens=2),
        ),
        (
            {"input_tokens": 7, "output_tokens": 5, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 100},
            Usage(prompt_tokens=127, completion_tokens=5, cached_prompt_tokens=20),
        ),
        (BOTH | {"input_tokens": 0, "output_tokens": 0}, Usage(prompt_tokens=7, completion_tokens=5)),
        (
            {"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 7, "output_tokens": 5},
            Usage(prompt_tokens=7, completion_tokens=5),
        ),
        ({"prompt_tokens": 9, "total_tokens": 9}, Usage(prompt_tokens=9)),
        ({"prompt_tokens": 9, "total_tokens": 12}, Usage(prompt_tokens=9, completion_tokens=3)),
        ({"completion_tokens": 3, "total_tokens": 12}, Usage(prompt_tokens=9, completion_tokens=3)),
        (
            {
                "prompt_tokens": 279,
                "completion_tokens": 6,
                "total_tokens": 374,
                "completion_tokens_details": {"reasoning_tokens": 89},
            },
            Usage(prompt_tokens=279, completion_tokens=95, reasoning_tokens=89),
        ),
        (
            {"input_tokens": 279, "output_tokens": 6, "total_tokens": 374, "output_tokens_details": {"reasoning_tokens": 89}},
            Usage(prompt_tokens=279, completion_tokens=95, reasoning_tokens=89),
        ),
        *(
            (
                BOTH | {"total_tokens": total, "completion_tokens_details": {"reasoning_tokens": reasoning}},
                Usage(prompt_tokens=7, completion_tokens=5, reasoning_tokens=max(0, reasoning)),
            )
            for total, reasoning in ((12, 4), (15, 4), (12, 0), (15, 0), (8, -4), (5, 4))
        ),
        (BOTH | {"total_tokens": 105}, Usage(prompt_tokens=7, completion_tokens=98)),
        (BOTH | {"total_tokens": 5}, Usage(prompt_tokens=7, completion_tokens=5)),
    ],
)
def test_what_is_said_is_the_usage(block: dict[str, Any], usage: Usage) -> None:
    """Zero included, under either set of names, one of the counts by the total, and reasoning beside the completion where the total
    says just so, or nothing else says anything of it; of a whole answer and of a stream.
    """
    assert told(block) == usage
    assert streamed(block).usage == usage


@pytest.mark.parametrize(
    "block",
    [
        {},
        {"total_tokens": 9000},
        {"prompt_tokens": 7},
        {"completion_tokens": 5},
        {"prompt_tokens": None, "completion_tokens": None, "total_tokens": 12},
        {"prompt_tokens": 9, "total_tokens": 5},
        *({"prompt_tokens": 7, "completion_tokens": wrong} for wrong in NO_COUNTS),
        *({"prompt_tokens": wrong, "completion_tokens": 5} for wrong in NO_COUNTS),
        BOTH | {"prompt_tokens_details": {"cached_tokens": "3"}},
    ],
)
def test_what_does_not_say_it_is_no_usage(block: dict[str, Any]) -> None:
    """Never an exact zero: no counts, a part of them, or what is no count. The answer itself stands."""
    assert told(block) is None
    relay = streamed(block)
    assert (relay.usage, relay.usage_is_last, relay.broken) == (None, False, False)


@pytest.mark.parametrize("block", [None, 5, "much", [], True])
def test_what_is_no_block_is_no_usage(block: object) -> None:
    """And no reason to throw away an answer."""
    assert told(block) is None
    assert usage_of(b"{}") is None


def test_a_block_without_counts_takes_nothing_back() -> None:
    """A usage that came before it stands; the client that did not ask for usage sees neither."""
    relay = Relay(hide_usage=True)
    event = json.dumps({"choices": [], "usage": BOTH}).encode()
    assert relay.feed(b"data: " + event + b"\n\n" + b'data: {"choices": [], "usage": {"cost": 0.5}}\n\n') == b""
    assert relay.usage == Usage(prompt_tokens=7, completion_tokens=5)
    assert relay.reported_cost == 0.5


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"usage": {"prompt_tokens": oops}}', b'{"a": ' * 20_000])
def test_an_answer_that_is_no_object_is_malformed(body: bytes) -> None:
    """Then there is nothing to pass on."""
    with pytest.raises(MalformedAnswer):
        usage_of(body)
