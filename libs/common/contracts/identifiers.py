"""UUIDv7 identifiers (RFC 9562 §5.7): ordered by time of making, as canonical lower-case text."""

import random
import time

_random_bits = random.SystemRandom().getrandbits
_fast_bits = random.Random(_random_bits(128)).getrandbits  # noqa: S311 - identifiers are unique, not secret


_moment: tuple[int, str] = (-1, "")


def uuid7() -> str:
    """A fresh UUIDv7; never blocks, about a microsecond."""
    global _moment  # noqa: PLW0603 - the text of the present millisecond, made once
    millis = time.time_ns() // 1_000_000
    made, text = _moment
    if made != millis:
        text = f"{millis >> 16:08x}-{millis & 0xFFFF:04x}-7"
        _moment = (millis, text)
    bits = _fast_bits(62)
    return f"{text}{_fast_bits(12):03x}-{0x8000 | bits >> 48:04x}-{bits & 0xFFFFFFFFFFFF:012x}"
