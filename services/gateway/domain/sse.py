"""Relaying server-sent events: whole events go on at once, as they are; usage is read, and withheld if it was not asked for."""

import re
from typing import Final

import msgspec

from common.contracts.events import Usage
from gateway.domain.usage_counting import cost_of, to_usage

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""An event longer than this is not an answer of a chat model."""

_USAGE: Final = re.compile(rb'"usage"\s*:\s*\{')
_BOUNDARY: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_DONE: Final = re.compile(rb"(?:^|[\r\n])data:[ \t]*\[DONE\][ \t]*[\r\n]")
"""A line of its own: within JSON no line begins, whatever a model writes."""

_NO_USAGE: Final = msgspec.Raw(b"null")


class OversizedEvent(Exception):
    """An event is longer than MAX_EVENT_BYTES."""


class _Choice(msgspec.Struct):
    delta: dict[str, msgspec.Raw] | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    usage: msgspec.Raw = _NO_USAGE
    choices: list[_Choice] | None = None

    @property
    def says_nothing(self) -> bool:
        """Whether there is nothing but usage in it: no choices, or (LiteLLM) choices without content."""
        return not any(choice.delta or choice.finish_reason for choice in self.choices or ())


_decode = msgspec.json.Decoder(_Chunk).decode


class Relay:
    """State of one stream. `usage` is the last usage block seen, `done` = `[DONE]` has passed, `broken` = an event was no JSON.

    `usage_is_last`: it came alone and no text after it, so it is final even where the stream does not end properly.
    `reported_cost`: US dollars, where the upstream (LiteLLM) puts a cost into the usage block.
    """

    __slots__ = ("_hide_usage", "_tail", "broken", "done", "reported_cost", "usage", "usage_is_last")

    def __init__(self, *, hide_usage: bool) -> None:
        self._hide_usage = hide_usage
        self._tail = b""
        self.usage: Usage | None = None
        self.usage_is_last = False
        self.reported_cost: float | None = None
        self.done = False
        self.broken = False

    def feed(self, data: bytes) -> bytes:
        """What may go to the client now. Raises OversizedEvent."""
        if self._tail:
            data = self._tail + data
        if b"\r" in data:
            complete = self._cut_generic(data)
        else:
            found = data.rfind(b"\n\n")
            if found == len(data) - 2 >= 0:
                complete, self._tail = data, b""
            elif found >= 0:
                complete, self._tail = data[: found + 2], data[found + 2 :]
            else:
                complete, self._tail = b"", data
        if len(self._tail) > MAX_EVENT_BYTES:
            raise OversizedEvent
        if not complete:
            return b""
        if b"[DONE]" in complete and _DONE.search(complete):
            self.done = True
        if b'"usage"' in complete and _USAGE.search(complete):
            return self._read_usage(complete)
        if self.usage_is_last and not self.done:
            self.usage_is_last = False
        return complete

    def finish(self) -> bytes:
        """The rest, after the last byte of the upstream: an unfinished event is passed on as it came."""
        rest, self._tail = self._tail, b""
        return rest

    def _cut_generic(self, data: bytes) -> bytes:
        end = 0
        for match in _BOUNDARY.finditer(data):
            end = match.end()
        self._tail = data[end:]
        return data[:end]

    def _read_usage(self, complete: bytes) -> bytes:
        kept = []
        start = 0
        for match in _BOUNDARY.finditer(complete):
            event = complete[start : match.end()]
            start = match.end()
            if b'"usage"' not in event:
                self.usage_is_last = self.usage_is_last and _DONE.search(event) is not None
                kept.append(event)
            elif not self._is_withheld(event):
                kept.append(event)
        return b"".join(kept)

    def _is_withheld(self, event: bytes) -> bool:
        payload = b"".join(line[5:].lstrip() for line in event.splitlines() if line.startswith(b"data:"))
        try:
            chunk = _decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.broken = True
            return False
        usage = to_usage(chunk.usage)
        cost = cost_of(chunk.usage)
        if usage is not None:
            self.usage = usage
        if cost is not None:
            self.reported_cost = cost
        self.usage_is_last = usage is not None and chunk.says_nothing
        return self._hide_usage and chunk.says_nothing and bytes(chunk.usage) != b"null"


class _Ending(msgspec.Struct):
    index: int
    delta: dict[str, str]
    finish_reason: str


class _LastChunk(msgspec.Struct):
    id: str
    model: str
    choices: list[_Ending]
    object: str = "chat.completion.chunk"


def finish_event(request_id: str, model: str, choices: int) -> bytes:
    """An event that ends all choices, as if their output cap had been reached."""
    endings = [_Ending(index, {}, "length") for index in range(choices)]
    return b"data: " + msgspec.json.encode(_LastChunk(f"chatcmpl-{request_id}", model, endings)) + b"\n\n"
