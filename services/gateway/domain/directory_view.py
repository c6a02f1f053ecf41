"""The gateway's picture of all keys, projects and organizations: versions only rise, whatever the order of arrival."""

from collections.abc import Iterator

import msgspec

from common.contracts.directory import (
    MANIFEST_KEY,
    KeyRecord,
    Manifest,
    OrganizationRecord,
    ProjectRecord,
)
from gateway.domain.caller import Caller

Record = KeyRecord | ProjectRecord | OrganizationRecord

_decode_key = msgspec.json.Decoder(KeyRecord).decode
_decode_project = msgspec.json.Decoder(ProjectRecord).decode
_decode_organization = msgspec.json.Decoder(OrganizationRecord).decode
_decode_manifest = msgspec.json.Decoder(Manifest).decode


class DirectoryView:
    """Records by kind, and the callers joined from them on demand.

    `refused` counts entries that could not be read; they are passed over, an older record stays in force.
    """

    def __init__(self) -> None:
        self.keys: dict[str, KeyRecord] = {}
        self.projects: dict[str, ProjectRecord] = {}
        self.organizations: dict[str, OrganizationRecord] = {}
        self.manifest: Manifest | None = None
        self.refused = 0
        self._callers: dict[str, Caller] = {}

    def apply(self, entry: str, body: bytes) -> Record | None:
        """Take in an entry of the bucket; the record if it was newer than what was known, else None."""
        kind, _, _ = entry.partition(".")
        try:
            if kind == "key":
                return self._apply_key(_decode_key(body))
            if kind == "project":
                return self._apply_project(_decode_project(body))
            if kind == "organization":
                return self._apply_organization(_decode_organization(body))
            if entry == MANIFEST_KEY:
                self.manifest = _decode_manifest(body)
                return None
        except msgspec.MsgspecError:
            pass
        self.refused += 1
        return None

    def _apply_key(self, record: KeyRecord) -> KeyRecord | None:
        known = self.keys.get(record.lookup)
        if known is not None and known.version >= record.version:
            return None
        self.keys[record.lookup] = record
        self._callers.pop(record.lookup, None)
        return record

    def _apply_project(self, record: ProjectRecord) -> ProjectRecord | None:
        known = self.projects.get(record.project_id)
        if known is not None and known.version >= record.version:
            return None
        self.projects[record.project_id] = record
        self._callers.clear()
        return record

    def _apply_organization(self, record: OrganizationRecord) -> OrganizationRecord | None:
        known = self.organizations.get(record.organization_id)
        if known is not None and known.version >= record.version:
            return None
        self.organizations[record.organization_id] = record
        self._callers.clear()
        return record

    def caller(self, lookup: str) -> Caller | None:
        """The joined caller of a lookup id; None if the key, its project or its organization is not known."""
        known = self._callers.get(lookup)
        if known is not None:
            return known
        key = self.keys.get(lookup)
        if key is None:
            return None
        project = self.projects.get(key.project_id)
        organization = self.organizations.get(key.organization_id)
        if project is None or organization is None or project.organization_id != key.organization_id:
            return None
        caller = self._callers[lookup] = Caller(key, project, organization)
        return caller

    @property
    def complete(self) -> bool:
        """Whether the bucket said that it has been filled and we hold at least that many records of each kind."""
        manifest = self.manifest
        return (
            manifest is not None
            and len(self.keys) >= manifest.keys
            and len(self.projects) >= manifest.projects
            and len(self.organizations) >= manifest.organizations
        )

    def entries(self) -> Iterator[tuple[str, Record | Manifest]]:
        """Everything, as bucket entries; for the last-known-good file."""
        yield from ((f"organization.{name}", record) for name, record in self.organizations.items())
        yield from ((f"project.{name}", record) for name, record in self.projects.items())
        yield from ((f"key.{name}", record) for name, record in self.keys.items())
        if self.manifest is not None:
            yield MANIFEST_KEY, self.manifest
