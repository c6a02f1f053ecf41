"""Counting a stream's output while it runs, well enough to keep its hold ahead of it."""

import re
from typing import Final

import msgspec

from gateway.domain.estimate import BYTES_PER_TOKEN

_DATA: Final = re.compile(rb"^data: ?(\{.*\})\r?$", re.MULTILINE)


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: msgspec.Raw = msgspec.Raw(b"")


class _Choice(msgspec.Struct):
    delta: _Delta | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


class OutputMeter:
    """`seen`: an estimate of the output so far: one token per event with content at the least, and one per three bytes of it.

    A model that thinks in silence is not seen here before its usage arrives; so is what the provider has made and not sent yet.
    """

    __slots__ = ("_bytes", "_events")

    def __init__(self) -> None:
        self._events = self._bytes = 0

    @property
    def seen(self) -> int:
        """Tokens of all choices together."""
        return max(self._events, self._bytes // BYTES_PER_TOKEN)

    def feed(self, complete: bytes) -> None:
        """Whole events, as they go to the client; what cannot be read counts by its length."""
        for payload in _DATA.findall(complete):
            try:
                choices = _decode(payload).choices or ()
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                self._bytes += len(payload)
                continue
            for choice in choices:
                if choice.delta is not None and (length := _length(choice.delta)):
                    self._events += 1
                    self._bytes += length


def _length(delta: _Delta) -> int:
    texts = (delta.content, delta.reasoning_content, delta.refusal)
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts if text) + len(bytes(delta.tool_calls))
