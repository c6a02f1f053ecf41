"""Opaque tokens: `cf-<kind>-<secret 43><crc32 6>`, base62 after the prefix. A token is shown once; its SHA-256 is stored.

The secret has 256 random bits, so that its digest needs neither salt nor stretching. The checksum lets a scanner, or the door,
discard a typing error without a look-up.
"""

import hashlib
import re
import secrets
from typing import Literal

from common.base62 import CHECKSUM_LENGTH, checksum, encode

Kind = Literal["personal", "service_account", "refresh", "invitation", "password_reset"]

PREFIXES: dict[Kind, str] = {
    "personal": "cf-pat-",
    "service_account": "cf-sat-",
    "refresh": "cf-ref-",
    "invitation": "cf-inv-",
    "password_reset": "cf-rst-",
}
SECRET_LENGTH = 43
TOKEN_PATTERN = re.compile(rf"cf-(pat|sat|ref|inv|rst)-[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}")
"""One regular expression for leak scanners."""

_KINDS = {prefix: kind for kind, prefix in PREFIXES.items()}
_PREFIX_LENGTH = 7


def make(kind: Kind) -> str:
    """A fresh token."""
    body = PREFIXES[kind] + encode(secrets.randbits(256), SECRET_LENGTH)
    return body + checksum(body)


def kind_of(token: str) -> Kind | None:
    """What a well-formed token is for; None for anything else, a wrong checksum included."""
    if not TOKEN_PATTERN.fullmatch(token) or checksum(token[:-CHECKSUM_LENGTH]) != token[-CHECKSUM_LENGTH:]:
        return None
    return _KINDS[token[:_PREFIX_LENGTH]]


def digest_of(token: str) -> str:
    """What is stored and looked for: SHA-256, in hexadecimal digits."""
    return hashlib.sha256(token.encode()).hexdigest()


def hint_of(token: str) -> str:
    """What people recognize a token by: too little of it to be of use."""
    return f"{token[: _PREFIX_LENGTH + 4]}…{token[-4:]}"
