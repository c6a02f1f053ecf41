"""Records as bytes: length u32, CRC32 u32, kind u8, for some a number u64, payload; and how to find them again in a damaged file."""

import re
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple
from zlib import crc32

# No byte of these occurs in UTF-8, so a text that clients send cannot imitate a record.
HEAD, START, ATTEMPT, END, CLOSE = 0xF8, 0xF9, 0xFA, 0xFB, 0xFC
"""HEAD opens a segment: the last number given before it, payload = the gateway's name. CLOSE: the last number of a boot that ended."""

MAX_PAYLOAD = 128 * 1024
OVERHEAD = 17
"""Bytes of a numbered record besides its payload."""

_plain = Struct("<IIB")
_numbered = Struct("<IIBQ")
_lengths = Struct("<II")
_kind_and_number = Struct("<BQ")
_seeds = {kind: crc32(bytes([kind])) for kind in (START, ATTEMPT)}
_NUMBERED = frozenset({HEAD, END, CLOSE})
_might_begin = re.compile(rb"(?s)(?=..[\x00-\x02]\x00....[\xf8-\xfc])")


class Record(NamedTuple):
    """A record at `begin`…`end` of its file; `number` is 0 where its kind has none."""

    kind: int
    number: int
    payload: bytes
    begin: int
    end: int


class Damage(NamedTuple):
    """Bytes that are no record; `is_tail` when no record follows them."""

    begin: int
    end: int
    is_tail: bool


def frame(kind: int, payload: bytes) -> bytes:
    """A record without a number: START or ATTEMPT."""
    return _plain.pack(len(payload) + 1, crc32(payload, _seeds[kind]), kind) + payload


def frame_numbered(kind: int, number: int, payload: bytes) -> bytes:
    """A record with a number: HEAD, END or CLOSE."""
    check = crc32(payload, crc32(_kind_and_number.pack(kind, number)))
    return _numbered.pack(len(payload) + 9, check, kind, number) + payload


def scan(data: bytes) -> Iterator[Record | Damage]:
    """Everything in a segment up to the zeros at its end. Never raises: what is damaged is skipped to the next whole record."""
    used = len(data.rstrip(b"\0"))
    position = 0
    while position < used:
        record = _record_at(data, position)
        if record is None:
            following = _next_record(data, position + 1)
            yield Damage(position, used if following is None else following, following is None)
            position = used if following is None else following
        else:
            yield record
            position = record.end


def _record_at(data: bytes, position: int) -> Record | None:
    body = position + 8
    if body >= len(data):
        return None
    length, check = _lengths.unpack_from(data, position)
    end = body + length
    if not 0 < length <= MAX_PAYLOAD + 9 or end > len(data) or crc32(data[body:end]) != check:
        return None
    kind = data[body]
    if kind not in _NUMBERED:
        return Record(kind, 0, data[body + 1 : end], position, end)
    if length < 9:
        return None
    return Record(kind, int.from_bytes(data[body + 1 : body + 9], "little"), data[body + 9 : end], position, end)


def _next_record(data: bytes, position: int) -> int | None:
    for candidate in _might_begin.finditer(data, position):
        if _record_at(data, candidate.start()) is not None:
            return candidate.start()
    return None
