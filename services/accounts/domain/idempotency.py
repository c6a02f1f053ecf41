"""What makes a repeated request the same one, and what its first answer was (draft-ietf-httpapi-idempotency-key-header)."""

import re
from datetime import datetime, timedelta

import msgspec

from accounts.domain.principal import Principal

KEPT_FOR = timedelta(hours=24)
LOST_AFTER = timedelta(seconds=60)
"""A request that has not answered for so long is taken for one whose process died: its repeat runs."""
_KEY = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")


class GivenAnswer(msgspec.Struct, frozen=True):
    """An answer as it went out: status, headers and body, which may hold a secret that is shown only once."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Claim(msgspec.Struct, frozen=True):
    """The right to run a request; `since` tells it from one that took over after it."""

    caller: str
    key_digest: str
    since: datetime


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request with an Idempotency-Key."""

    key: str
    path: str
    query: bytes
    body: bytes


def is_key(text: str) -> bool:
    """1 to 255 characters of printable ASCII, without blanks at the ends."""
    return _KEY.fullmatch(text) is not None


def whose(caller: Principal) -> str:
    """Under whom an answer is kept. A long-lived token stands for itself: what another token was told is none of its business."""
    return f"{caller.kind}:{caller.subject}" + (f"/{caller.token_id}" if caller.token_id else "")


def sameness(caller: Principal, ask: Ask) -> bytes:
    """Equal for two requests exactly when they ask for the same with the same reach."""
    scopes = ["*"] if caller.scopes is None else sorted(caller.scopes)
    return msgspec.json.encode([scopes, ask.path, ask.query, ask.body])
