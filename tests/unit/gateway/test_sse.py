"""The relay of server-sent events: bytes go through as they are, usage is read and withheld when it was not asked for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import sse
from gateway.domain.sse import OversizedEvent, Relay


def make_event(value: object, end: bytes = b"\n\n") -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + end


DELTA = {"choices": [{"delta": {"content": 'grüße, 世界 "usage":{'}}]}
USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 3}}}
DONE = b"data: [DONE]\n\n"


def relayed(relay: Relay, chunks: list[bytes]) -> bytes:
    return b"".join([relay.feed(chunk) for chunk in chunks]) + relay.finish()


def test_usage_is_read_and_its_event_withheld_when_not_asked_for() -> None:
    """The client sees its deltas and the end, not the usage that we asked for."""
    relay = Relay(hide_usage=True)
    out = relayed(relay, [make_event(DELTA) + make_event(USAGE) + DONE])
    assert out == make_event(DELTA) + DONE
    assert relay.usage is not None
    assert (relay.usage.prompt_tokens, relay.usage.completion_tokens, relay.usage.cached_prompt_tokens) == (7, 5, 3)
    assert relay.done


def test_usage_is_passed_on_when_asked_for() -> None:
    """With include_usage every byte goes through."""
    stream = make_event({**DELTA, "usage": None}) + make_event(USAGE) + DONE
    relay = Relay(hide_usage=False)
    assert relayed(relay, [stream]) == stream
    assert relay.usage is not None


def test_usage_beside_choices_is_passed_on_and_read() -> None:
    """Some providers put the usage into the last delta: it is content as well."""
    event = make_event({**DELTA, "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    relay = Relay(hide_usage=True)
    assert relayed(relay, [event, DONE]) == event + DONE
    assert relay.usage is not None


def test_broken_json_is_passed_on_and_noted() -> None:
    """We do not judge what the provider says, we only cannot count it."""
    event = b'data: {"usage": {"prompt_tokens": oops\n\n'
    relay = Relay(hide_usage=True)
    assert relayed(relay, [event]) == event
    assert relay.usage is None
    assert relay.broken


@given(st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r"]), st.data())
def test_the_cut_into_chunks_changes_nothing(end: bytes, data: st.DataObject) -> None:
    """Split anywhere (inside UTF-8, inside a line end), the same bytes come out and the same usage is read."""
    stream = make_event(DELTA, end) * 2 + make_event(USAGE, end) + b"data: [DONE]" + end
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    relay = Relay(hide_usage=True)
    assert relayed(relay, chunks) == make_event(DELTA, end) * 2 + b"data: [DONE]" + end
    assert relay.usage is not None
    assert relay.usage.completion_tokens == 5


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_byte_by_byte_is_the_same(end: bytes) -> None:
    """A chunk of one byte is no event either, wherever it comes."""
    relay = Relay(hide_usage=True)
    stream = make_event(DELTA, end) + make_event(USAGE, end) + DONE
    assert relayed(relay, [bytes((byte,)) for byte in stream]) == make_event(DELTA, end) + DONE
    assert relay.usage is not None
    assert not relay.broken


def test_an_endless_event_is_refused() -> None:
    """An event without an end does not fill the memory."""
    relay = Relay(hide_usage=True)
    for _ in range(sse.MAX_EVENT_BYTES // 2**20):
        assert relay.feed(b"x" * 2**20) == b""
    with pytest.raises(OversizedEvent):
        relay.feed(b"x" * 2**20)


@pytest.mark.parametrize(
    ("chunks", "last"),
    [
        ([make_event(USAGE)], True),
        ([make_event(USAGE), DONE], True),
        ([make_event(USAGE) + DONE], True),
        ([make_event({**DELTA, "usage": {"prompt_tokens": 7, "completion_tokens": 1}})], False),
        ([make_event(USAGE), make_event(DELTA)], False),
        ([make_event(USAGE), make_event({"choices": [{"delta": {"content": "x"}}]})], False),
        ([make_event(USAGE) + make_event({"choices": [{"delta": {"content": "x"}}]})], False),
    ],
)
def test_which_usage_is_known_to_be_the_last(chunks: list[bytes], last: bool) -> None:
    """One that came alone and after all text; a count beside text may go on rising."""
    relay = Relay(hide_usage=True)
    relayed(relay, chunks)
    assert relay.usage is not None
    assert relay.usage_is_last is last


@pytest.mark.parametrize(
    "end", [b"data: [DONE]\n\n", b"data:[DONE]\n\n", b"data: [DONE]\r\n\r\n", b"data: [DONE]\r\r", b"id: 7\ndata: [DONE] \n\n"]
)
def test_the_end_is_known_however_its_line_is_written(end: bytes) -> None:
    """With or without the blank, whatever ends lines, alone or behind its text."""
    for chunks in ([end], [make_event(DELTA), end], [make_event(DELTA) + end], [end[:9], end[9:]]):
        relay = Relay(hide_usage=True)
        relayed(relay, chunks)
        assert relay.done


SAYS_DONE = {"choices": [{"delta": {"content": "data: [DONE]\n\ndata: [DONE]\r\r[DONE]"}}]}


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_text_that_speaks_of_the_end_is_not_the_end(end: bytes) -> None:
    """A model may write it, and what its usage was before is not the last for it."""
    relay = Relay(hide_usage=False)
    relayed(relay, [make_event(USAGE, end), make_event(SAYS_DONE, end)])
    assert (relay.done, relay.usage_is_last) == (False, False)
    relayed(relay, [make_event(USAGE, end) + make_event(SAYS_DONE, end)])
    assert (relay.done, relay.usage_is_last) == (False, False)
