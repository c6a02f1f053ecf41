"""Numbers and checksums in base62, as they stand in keys and tokens."""

import zlib

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CHECKSUM_LENGTH = 6

_VALUES = {digit: value for value, digit in enumerate(ALPHABET)}


def encode(number: int, length: int) -> str:
    """The number in so many digits, with leading zeros."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def decode(text: str) -> int:
    """The number; raises KeyError for a character that is no digit."""
    number = 0
    for digit in text:
        number = number * 62 + _VALUES[digit]
    return number


def checksum(body: str) -> str:
    """The CRC-32 of an ASCII text in six digits: it finds typing errors and keeps no secret."""
    return encode(zlib.crc32(body.encode()), CHECKSUM_LENGTH)
