"""Rotation of a key's secrets: at most two live at a time, the newest first; what is dead never lives again.

A key with `rotate_days` is due that long after its last rotation. Nobody can be given a new secret silently, so a schedule is a
deadline: reminders go before it, and a secret that was not rotated by the due date dies after the key's overlap.
"""

from datetime import datetime, timedelta

import msgspec

from accounts.domain.objects import Key, milliseconds
from common.contracts.directory import KeySecret

ENFORCED_AHEAD = timedelta(days=1)
"""How long before a key is due its deadline is announced: the gateways keep it by their own clocks, whatever is away then."""


def due_at(key: Key) -> datetime | None:
    """When the key has to be rotated; None = it has no schedule."""
    if key.rotate_days is None:
        return None
    return (key.rotated_at or key.created_at) + timedelta(days=key.rotate_days)


def stops_at(key: Key) -> datetime | None:
    """When the newest secret dies unless it is rotated before."""
    due = due_at(key)
    return None if due is None else due + timedelta(seconds=key.overlap_seconds)


def old_secret_until(key: Key, now: datetime) -> datetime | None:
    """Until when the secret before the newest lives; None = there is none any more."""
    old = next((secret for secret in key.secrets[1:] if _lives(secret, now)), None)
    if old is None or old.not_after is None:
        return None
    return datetime.fromtimestamp(old.not_after / 1000, now.tzinfo)


def rotated(key: Key, new: KeySecret, overlap_seconds: int, now: datetime) -> Key:
    """The key with a new secret; the one before lives on for the overlap (0 = it is dead at once), older ones are dead."""
    until = milliseconds(now) + overlap_seconds * 1000
    kept = tuple(_until(secret, until) for secret in key.secrets[:1] if overlap_seconds and _lives(secret, now))
    return scheduled(msgspec.structs.replace(key, secrets=(new, *kept), rotated_at=now), now)


def overlap_ended(key: Key) -> Key:
    """The key with its newest secret alone."""
    return msgspec.structs.replace(key, secrets=key.secrets[:1])


def scheduled(key: Key, now: datetime) -> Key:
    """The key with its secrets as they should be announced now: dead ones are gone, the newest has its deadline once it is near.

    The newest stays even when it is dead, so that a key always has a secret to compare with. Asking again changes nothing.
    """
    newest, *others = key.secrets
    if _lives(newest, now):
        deadline = _deadline(key, now)
        newest = msgspec.structs.replace(newest, not_after=deadline)
        if deadline is not None:
            others = [_until(secret, deadline) for secret in others]
    kept = [secret for secret in others if _lives(newest, now) and _lives(secret, now)]
    return msgspec.structs.replace(key, secrets=(newest, *kept))


def _deadline(key: Key, now: datetime) -> int | None:
    due, stops = due_at(key), stops_at(key)
    if due is None or stops is None or now < due - ENFORCED_AHEAD:
        return None
    return milliseconds(stops)


def _lives(secret: KeySecret, now: datetime) -> bool:
    return secret.not_after is None or milliseconds(now) < secret.not_after


def _until(secret: KeySecret, moment: int) -> KeySecret:
    """The secret, dead at that moment if it would not be before."""
    return msgspec.structs.replace(secret, not_after=moment if secret.not_after is None else min(secret.not_after, moment))
