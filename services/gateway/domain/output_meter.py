"""Counting a stream's output while it runs, well enough to keep its hold ahead of it."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.domain.estimate import BYTES_PER_TOKEN
from gateway.domain.output_size import UNREADABLE, size_of, sizes

_DATA: Final = re.compile(rb"^data:[ \t]*(\{.*\})[ \t]*\r?$", re.MULTILINE)


class _Called(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    function: _Called | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None
    index: int = 0


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


class OutputMeter:
    """`seen`: an estimate of the output so far: one token per event with content at the least, and one per three bytes of it, more
    where it is dense (domain.output_size).

    Content is whatever a delta has but its role, also in fields that are not known yet. A model that thinks in silence is not seen
    here before its usage arrives; so is what the provider has made and not sent yet.
    """

    __slots__ = ("_bytes", "_events", "_finished", "_went_on")

    def __init__(self) -> None:
        self._events = self._bytes = 0
        self._finished: set[int] = set()
        self._went_on = False

    def has_finished(self, choices: int) -> bool:
        """Whether the provider has said of so many choices why they ended, so that no further output comes. One that has gone on all
        the same (some say "stop" with every event) is not believed again.
        """
        return not self._went_on and len(self._finished) >= choices

    @property
    def seen(self) -> int:
        """Tokens of all choices together."""
        return max(self._events, self._bytes // BYTES_PER_TOKEN)

    def feed(self, complete: bytes) -> None:
        """Whole events, as they go to the client; what cannot be read counts by its length."""
        for payload in _DATA.findall(complete):
            choices: Sequence[_Choice] = ()
            try:
                choices = _decode(payload).choices or ()
                lengths = list(map(_length, choices))
            except UNREADABLE:
                lengths = [0]
            if not all(lengths):  # seldom: nothing in the known fields, or something else in them than text
                lengths = sizes(payload)
            for length in lengths:
                if length:
                    self._events += 1
                    self._bytes += length
            if self._finished:
                self._went_on = self._went_on or _goes_on(self._finished, choices, lengths)
            for choice in choices:
                if choice.finish_reason:
                    self._finished.add(choice.index)


def _goes_on(finished: set[int], choices: Sequence[_Choice], lengths: list[int]) -> bool:
    """Whether there is output of a choice that has ended; of what cannot be read it is not known whose it is."""
    if len(choices) != len(lengths):
        return any(lengths)
    return any(length and choice.index in finished for choice, length in zip(choices, lengths, strict=True))


def _length(choice: _Choice) -> int:
    delta = choice.delta
    if delta is None:
        return 0
    length = 0
    for text in (delta.content, delta.reasoning_content or delta.reasoning, delta.refusal):
        if text:
            length += size_of(text)
    if not delta.tool_calls:
        return length
    if any(call.function is None for call in delta.tool_calls):
        return 0  # a tool that is no function: whoever looks into all fields finds what it says
    return length + sum(map(_of_call, delta.tool_calls))


def _of_call(call: _Call) -> int:
    called = call.function or _Called()
    return size_of(called.name or "") + size_of(called.arguments or "")
