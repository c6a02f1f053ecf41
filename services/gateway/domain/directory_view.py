"""The gateway's picture of all keys and of what they belong to: versions only rise, whatever the order of arrival.

Records are kept as they came, encoded: a third less memory than decoded ones, nothing for the garbage collector to walk
through, and a copy for the last-known-good file takes an instant. They are decoded when a caller is joined.
"""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import msgspec

from common.contracts.directory import (
    MANIFEST_KEY,
    KeyRecord,
    Manifest,
    MemberRecord,
    OrganizationRecord,
    ProjectRecord,
    key_entry,
    member_entry,
    organization_entry,
    project_entry,
)
from gateway.domain.caller import Caller, Record, join
from gateway.domain.joined_callers import JoinedCallers

Kind = TypeVar("Kind", KeyRecord, ProjectRecord, OrganizationRecord, MemberRecord)
Decode = Callable[[bytes], Kind]

_decode_key = msgspec.json.Decoder(KeyRecord).decode
_decode_project = msgspec.json.Decoder(ProjectRecord).decode
_decode_organization = msgspec.json.Decoder(OrganizationRecord).decode
_decode_member = msgspec.json.Decoder(MemberRecord).decode
_decode_manifest = msgspec.json.Decoder(Manifest).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Stamp(msgspec.Struct):
    version: int


_decode_stamp = msgspec.json.Decoder(_Stamp).decode


class DirectoryView:
    """Entries as bytes, and the callers joined from them on demand.

    `refused` counts entries that could not be read; they are passed over, an older record stays in force. `changes` counts those
    that said something new.
    """

    def __init__(self, callers: JoinedCallers | None = None) -> None:
        self.manifest: Manifest | None = None
        self.refused = 0
        self.changes = 0
        self._bodies: dict[str, bytes] = {}
        self._counts: Counter[str] = Counter()
        self._callers = callers or JoinedCallers()
        self.at_hand = self._callers.find
        """The caller of a lookup id if it is kept: none of its records has changed since it was joined. No hop more, it is hot."""

    def apply(self, entry: str, body: bytes) -> Record | None:
        """Take in an entry of the bucket; the record if it was newer than what was known, else None."""
        if self._bodies.get(entry) == body:
            return None
        try:
            record = _decode(entry, body)
            if record is not None:
                return self._take(entry, body, record)
            if entry == MANIFEST_KEY:
                self.manifest = _decode_manifest(body)
                self.changes += 1
                return None
        except _UNREADABLE:
            pass
        self.refused += 1
        return None

    def _take(self, entry: str, body: bytes, record: Record) -> Record | None:
        known = self._bodies.get(entry)
        if known is None:
            self._counts[entry.partition(".")[0]] += 1
        elif _decode_stamp(known).version >= record.version:
            return None
        self._bodies[entry] = body if b"\n" not in body else msgspec.json.encode(record)  # the file holds one entry a line
        self.changes += 1
        if isinstance(record, KeyRecord):
            self._callers.drop_key(record.lookup)
        else:
            self._callers.drop_joined_from(entry)
        return record

    def keep(self, caller: Caller) -> Caller:
        """Keep what `join` has just made; answers the caller that is at hand from now on."""
        return self._callers.keep(caller)

    def join(self, lookup: str) -> Caller | None:
        """The caller of a lookup id, joined anew; None if the key or one of those it belongs to is not known."""
        key = self.key(lookup)
        if key is None:
            return None
        project = self._read(project_entry(key.project_id), _decode_project)
        organization = self.organization(key.organization_id)
        if project is None or organization is None or project.organization_id != key.organization_id:
            return None
        if key.owner_kind is None:
            return join(key, project, organization, None)
        owner = self._read(member_entry(key.organization_id, key.owner_id or ""), _decode_member)
        return None if owner is None else join(key, project, organization, owner)

    def knows(self, entry: str) -> bool:
        """Whether there is a record under an entry, in whatever state."""
        return entry in self._bodies

    def key(self, lookup: str) -> KeyRecord | None:
        """A key's record."""
        return self._read(key_entry(lookup), _decode_key)

    def organization(self, organization_id: str) -> OrganizationRecord | None:
        """An organization's record."""
        return self._read(organization_entry(organization_id), _decode_organization)

    def _read(self, entry: str, decode: Decode[Kind]) -> Kind | None:
        body = self._bodies.get(entry)
        return None if body is None else decode(body)

    def count(self, kind: str) -> int:
        """How many records of a kind are known, in whatever state: key, project, organization, member."""
        return self._counts[kind]

    @property
    def complete(self) -> bool:
        """Whether the bucket said that it has been filled and we hold at least that many records of each kind."""
        manifest, counts = self.manifest, self._counts
        return (
            manifest is not None
            and counts["key"] >= manifest.keys
            and counts["project"] >= manifest.projects
            and counts["organization"] >= manifest.organizations
            and counts["member"] >= manifest.members
        )

    def snapshot(self) -> dict[str, bytes]:
        """All entries as they are now; for the last-known-good file."""
        entries = self._bodies.copy()
        if self.manifest is not None:
            entries[MANIFEST_KEY] = msgspec.json.encode(self.manifest)
        return entries


def _decode(entry: str, body: bytes) -> Record | None:
    """The record, None for an entry that is not one's. Raises what the decoders raise, also where entry and record disagree."""
    kind, _, _ = entry.partition(".")
    if kind == "key":
        key = _decode_key(body)
        return _under(entry, key_entry(key.lookup), key)
    if kind == "project":
        project = _decode_project(body)
        return _under(entry, project_entry(project.project_id), project)
    if kind == "organization":
        organization = _decode_organization(body)
        return _under(entry, organization_entry(organization.organization_id), organization)
    if kind == "member":
        member = _decode_member(body)
        return _under(entry, member_entry(member.organization_id, member.member_id), member)
    return None


def _under(entry: str, own: str, record: Kind) -> Kind:
    if entry != own:
        raise msgspec.ValidationError("the record is not the entry's")
    return record
