"""How the bucket may differ from the rows, and what a record that is ahead of its row has to say to it."""

from typing import Any, Literal

import msgspec

from accounts.domain.directory_snapshot import ABSENT, REVOKED, Stored
from accounts.domain.objects import Key, Member, Organization, Project, Record, ServiceAccount, entry_of
from common.contracts.directory import KeyRecord, Limits, MemberRecord, OrganizationRecord, ProjectRecord

Drift = Literal["missing", "older", "newer", "orphan"]
DRIFTS: tuple[Drift, ...] = ("missing", "older", "newer", "orphan")
"""Not in the bucket; there in an older version; there in one that the row never had, which only a restored database explains;
there and unknown to the database."""

_SHAPES: dict[str, type[Record]] = {
    "key": KeyRecord,
    "project": ProjectRecord,
    "organization": OrganizationRecord,
    "member": MemberRecord,
}
_CLOSED = {"active": 0, "suspended": 1, "revoked": 2, "ended": 2}


def drift_of(record: Record | None, held: Stored, body: bytes) -> Drift | None:
    """How the bucket's entry differs from the row's record; both None and ABSENT = nothing is there. A revoked orphan is at rest."""
    if record is None:
        return None if held == ABSENT or held.status == REVOKED else "orphan"
    if held.version < record.version:
        return "missing" if held == ABSENT else "older"
    if held.version > record.version or body != msgspec.json.encode(record):
        return "newer"
    return None


def decoded(entry: str, body: bytes) -> Record | None:
    """The record under an entry; None when it is none of ours."""
    shape = _SHAPES.get(entry.partition(".")[0])
    if shape is None:
        return None
    try:
        record = msgspec.json.decode(body, type=shape)
    except msgspec.MsgspecError:
        return None
    return record if entry_of(record) == entry else None


def closed_for_ever(record: Record) -> Record:
    """The record that outdoes this one and says that the object is gone."""
    return msgspec.structs.replace(record, version=record.version + 1, status=REVOKED)


def closings(item: Any, ahead: Record) -> dict[str, Any]:
    """What a row must take over from a record that is ahead of it: a restored database opens nothing that had been closed.

    That is a status more closed than the row's, and that a key's secret has been rotated away; all else is as in the database.
    """
    changes: dict[str, Any] = {}
    if _CLOSED[ahead.status] > _CLOSED[item.status]:
        changes["status"] = _status_like(item, ahead.status)
    if isinstance(item, Key) and isinstance(ahead, KeyRecord):
        kept = [secret for secret in item.secrets if secret.digest in {live.digest for live in ahead.secrets}]
        if kept and len(kept) < len(item.secrets):
            changes["secrets"] = msgspec.to_builtins(kept)
    return changes


def newest_limits(item: Any, ahead: Record) -> dict[str, Any]:
    """The row's limits in a version above those of a record that is ahead of it: whoever has heard of the others takes these instead."""
    changes: dict[str, Any] = {}
    limits = _above(item.limits, ahead.limits)
    if limits != item.limits:
        changes["limits_version"] = limits.version
    if isinstance(item, Organization | Project) and isinstance(ahead, OrganizationRecord | ProjectRecord):
        of_end_users = _above(item.end_user_limits, ahead.end_user_limits)
        if of_end_users != item.end_user_limits:
            changes["end_user_limits"] = msgspec.to_builtins(of_end_users)
    return changes


def _above(own: Limits, ahead: Limits) -> Limits:
    if own == ahead or own.version > ahead.version:
        return own
    return msgspec.structs.replace(own, version=ahead.version + 1)


def _status_like(item: Any, status: str) -> str:
    if status != REVOKED:
        return status
    return REVOKED if isinstance(item, Key) else "ended" if isinstance(item, Member | ServiceAccount) else "suspended"
