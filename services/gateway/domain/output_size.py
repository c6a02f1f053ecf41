"""How much output is in a text, and in a streamed event whose fields are not the usual ones: new, old, or usual ones in another shape.

Sizes are bytes, BYTES_PER_TOKEN to a token; where a text looks as if it had more tokens, as many bytes as those would be.
"""

from typing import Any, Final

import msgspec

from gateway.domain.estimate import BYTES_PER_TOKEN

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_THOUGHTS: Final = frozenset(
    {"reasoning", "reasoning_content", "reasoning_details", "thinking", "thinking_blocks", "provider_specific_fields"}
)
"""Names under which providers, and proxies between, send one and the same thought."""

_LABELS: Final = frozenset({"role", "type", "format", "id", "index"})
_QUOTED: Final = frozenset({"annotations", "citations"})
"""What was found, not written: it shows that the model is at work, but its length is not the model's."""

_SEALED: Final = frozenset({"data", "encrypted_content", "signature", "thought_signature"})
"""Base64 of what is no text of the model, or is hidden: its length says little, its signs nothing."""

_MEDIA: Final = "data:"
_MEDIA_BYTES_PER_TOKEN: Final = 1000
"""Base64 of a picture or of sound: about what Gemini counts for a picture, three times what OpenAI counts for its uncompressed sound."""

_SHORT: Final = 4
_WORD: Final = 16
"""Bytes of a text that may well be a single token, whatever is in it, or if it is a word: the events that carry it count."""

_SMALL_PER_TOKEN: Final = 4
_SMALL: Final = b"abcdefghijklmnopqrstuvwxyz-=_*#~."
"""Of these, rules and lines of dots among them, several make a token; so do blanks, and most bytes of what is not ASCII."""

_RARE: Final = (*range(0xBC, 0xC0), 0xE1, 0xE2, *range(0xF0, 0xF8))
"""Bytes by which emoji, signs and some scripts are known of which tokenizers have learned little; seldom in others."""


def _kind(byte: int) -> str:
    if byte == ord(" "):
        return " "
    if ord("0") <= byte <= ord("9"):
        return "0"
    return "a" if byte in _SMALL or (byte >= 0x80 and byte not in _RARE) else "A"


_KINDS: Final = "".join(map(_kind, range(256))).encode()

_decode = msgspec.json.Decoder().decode


def size_of(text: str) -> int:
    """Of a text as it stands in an event."""
    data = text.encode("utf-8", "surrogatepass")
    length = len(data)
    if length <= _SHORT or (length <= _WORD and text[1:].isalpha()):
        return length
    return max(length, BYTES_PER_TOKEN * _tokens(data))


def _tokens(data: bytes) -> int:
    """One for each capital, digit and sign, for a blank before a digit, and for four of the rest."""
    kinds = data.translate(_KINDS)
    small, blanks = kinds.count(b"a"), kinds.count(b" ")
    return len(kinds) - small - blanks + kinds.count(b" 0") + small // _SMALL_PER_TOKEN


def sizes(payload: bytes) -> list[int]:
    """Sizes of the output, choice by choice; of what cannot be read, the length of all of it."""
    try:
        return [_of_choice(choice) for choice in _decode(payload).get("choices") or ()]
    except (*UNREADABLE, AttributeError, TypeError):
        return [len(payload)]


def _of_choice(choice: Any) -> int:
    if not isinstance(choice, dict):
        return _of_any(choice)
    delta = choice.get("delta")
    length = _of_delta(delta) if isinstance(delta, dict) else _of_any(delta)
    return length + _of_any(choice.get("text"))


def _of_delta(delta: dict[str, Any]) -> int:
    """Thoughts count once, by the longest of the fields that they are in."""
    thought = length = 0
    for name, value in delta.items():
        if name in _LABELS:
            continue
        size = _of_field(name, value)
        if name in _THOUGHTS:
            thought = max(thought, size)
        else:
            length += size
    return thought + length


def _of_field(name: str, value: Any) -> int:
    if name == "audio" and isinstance(value, dict):
        return _of_any(value.get("transcript")) + _as_media(_of_any({"data": value.get("data")}))
    size = _of_any(value)
    return min(size, 1) if name in _QUOTED else size


def _of_any(value: Any) -> int:
    """All text in it, however deep; a number counts as one byte."""
    length, rest = 0, [value]
    while rest:
        part = rest.pop()
        if isinstance(part, str):
            length += _of_text(part)
        elif isinstance(part, dict):
            for name, inner in part.items():
                if name in _SEALED and isinstance(inner, str) and not inner.startswith(_MEDIA):
                    length += len(_encoded(inner))
                elif name not in _LABELS:
                    rest.append(inner)
        elif isinstance(part, list):
            rest.extend(part)
        elif part:
            length += 1
    return length


def _of_text(text: str) -> int:
    return _as_media(len(_encoded(text))) if text.startswith(_MEDIA) else size_of(text)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _as_media(length: int) -> int:
    return -(-length * BYTES_PER_TOKEN // _MEDIA_BYTES_PER_TOKEN)
