"""The API key format and its digest: `sk-cf-<lookup 16><secret 43><crc32 6>`, all base62.

The lookup part names the record and may be logged; the secret (256 random bits) is never stored, only its HMAC-SHA256 under
a versioned pepper. The checksum lets a scanner or a gateway discard a typing error without a look-up.
"""

import hmac
import re
import secrets
import zlib
from dataclasses import dataclass, field

from common.base62 import ALPHABET, CHECKSUM_LENGTH, checksum, decode, encode

PREFIX = "sk-cf-"
LOOKUP_LENGTH = 16
SECRET_LENGTH = 43
KEY_LENGTH = len(PREFIX) + LOOKUP_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH
KEY_PATTERN = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{LOOKUP_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH}}}")
"""One regular expression for leak scanners."""

_LOOKUP_END = len(PREFIX) + LOOKUP_LENGTH
_BODY_END = KEY_LENGTH - CHECKSUM_LENGTH


def make_lookup() -> str:
    """A fresh public lookup id, 16 base62 characters."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LOOKUP_LENGTH))


def make_key(lookup: str) -> str:
    """A fresh plaintext key for a lookup id; shown once, never stored."""
    body = f"{PREFIX}{lookup}{encode(secrets.randbits(256), SECRET_LENGTH)}"
    return body + checksum(body)


def lookup_of(key: str) -> str | None:
    """The lookup id of a well-formed key, or None for anything else (length, prefix, alphabet or checksum wrong)."""
    if len(key) != KEY_LENGTH or not KEY_PATTERN.fullmatch(key):
        return None
    if zlib.crc32(key[:_BODY_END].encode()) != decode(key[_BODY_END:]):
        return None
    return key[len(PREFIX) : _LOOKUP_END]


@dataclass(frozen=True, slots=True)
class Peppers:
    """Versioned peppers; the highest version signs new keys, all listed ones are accepted. Never printed."""

    by_version: dict[int, bytes] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Peppers":
        """From `1:<hex>,2:<hex>`; raises ValueError with a sentence that says what is wrong, without the value."""
        by_version: dict[int, bytes] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            version, _, value = part.partition(":")
            try:
                by_version[int(version)] = bytes.fromhex(value)
            except ValueError:
                raise ValueError("peppers are written as VERSION:HEX[,VERSION:HEX]") from None
        if not by_version or min(map(len, by_version.values())) < 32:
            raise ValueError("give at least one pepper of 32 bytes or more, as VERSION:HEX")
        return cls(by_version)

    @property
    def current(self) -> int:
        """The version that signs new keys."""
        return max(self.by_version)

    def digest(self, key: str, version: int | None = None) -> bytes:
        """HMAC-SHA256 of the whole key under a pepper; raises KeyError for an unknown version."""
        pepper = self.by_version[self.current if version is None else version]
        return hmac.digest(pepper, key.encode(), "sha256")
