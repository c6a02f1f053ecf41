"""How much output is in a streamed event whose fields are not the usual ones: new ones, old ones, or usual ones in another shape."""

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

_MEDIA_BYTES_PER_TOKEN: Final = 1000
"""Base64 of a picture or of sound: about what Gemini counts for a picture, three times what OpenAI counts for its uncompressed sound."""

_decode = msgspec.json.Decoder().decode


def sizes(payload: bytes) -> list[int]:
    """Bytes of output, choice by choice; of what cannot be read, all of it."""
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
        return _of_any(value.get("transcript")) + _as_media(_of_any(value.get("data")))
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
            rest.extend(inner for name, inner in part.items() if name not in _LABELS)
        elif isinstance(part, list):
            rest.extend(part)
        elif part:
            length += 1
    return length


def _of_text(text: str) -> int:
    length = len(text.encode("utf-8", "surrogatepass"))
    return _as_media(length) if text.startswith("data:") else length


def _as_media(length: int) -> int:
    return -(-length * BYTES_PER_TOKEN // _MEDIA_BYTES_PER_TOKEN)
