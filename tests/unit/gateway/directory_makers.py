"""Records of a small directory, and a feed that is as fresh as a test says."""

from dataclasses import dataclass
from typing import Any

import msgspec

from common.contracts.api_keys import Peppers, lookup_of, make_key, make_lookup
from common.contracts.directory import (
    MANIFEST_KEY,
    KeyRecord,
    KeySecret,
    Manifest,
    MemberRecord,
    OrganizationRecord,
    ProjectRecord,
    key_entry,
    member_entry,
    organization_entry,
    project_entry,
)
from gateway.domain.directory_view import DirectoryView

PEPPERS = Peppers({1: b"p" * 32})
ORGANIZATION, PROJECT, MEMBER = "organization", "project", "member"
Record = KeyRecord | ProjectRecord | OrganizationRecord | MemberRecord


@dataclass
class StandingFeed:
    """What IdentifyCaller asks of a feed."""

    fresh_at: float | None = float("inf")
    confirmed: bool = True


def secret_of(plaintext: str, not_after: int | None = None) -> KeySecret:
    """What a record holds of a plaintext key."""
    return KeySecret(pepper_version=1, digest=PEPPERS.digest(plaintext).hex(), not_after=not_after)


def fresh_plaintext() -> str:
    return make_key(make_lookup())


def another_secret(plaintext: str) -> str:
    """Another plaintext of the same key."""
    return make_key(lookup_of(plaintext) or "")


def key_record(plaintext: str, *, version: int = 1, **fields: Any) -> KeyRecord:
    """An active key of the project; `fields` change it."""
    lookup = lookup_of(plaintext) or ""
    own = {
        "key_id": f"id of {lookup}",
        "lookup": lookup,
        "project_id": PROJECT,
        "organization_id": ORGANIZATION,
        "status": "active",
        "secrets": (secret_of(plaintext),),
    }
    return KeyRecord(version=version, **{**own, **fields})


def project_record(*, version: int = 1, **fields: Any) -> ProjectRecord:
    own = {"project_id": PROJECT, "organization_id": ORGANIZATION, "status": "active"}
    return ProjectRecord(version=version, **{**own, **fields})


def organization_record(*, version: int = 1, **fields: Any) -> OrganizationRecord:
    return OrganizationRecord(version=version, **{"organization_id": ORGANIZATION, "status": "active", **fields})


def member_record(*, version: int = 1, **fields: Any) -> MemberRecord:
    own = {"member_id": MEMBER, "organization_id": ORGANIZATION, "status": "active"}
    return MemberRecord(version=version, **{**own, **fields})


def entry_of(record: Record) -> str:
    match record:
        case KeyRecord():
            return key_entry(record.lookup)
        case ProjectRecord():
            return project_entry(record.project_id)
        case OrganizationRecord():
            return organization_entry(record.organization_id)
        case MemberRecord():
            return member_entry(record.organization_id, record.member_id)


def put(view: DirectoryView, *records: Record) -> None:
    """Apply records as they come from the bus."""
    for record in records:
        view.apply(entry_of(record), msgspec.json.encode(record))


def declare(view: DirectoryView, *, keys: int = 0, projects: int = 0, organizations: int = 0, members: int = 0) -> None:
    """Apply a manifest with these counts."""
    manifest = Manifest(generation=1, keys=keys, projects=projects, organizations=organizations, members=members, published_at=0)
    view.apply(MANIFEST_KEY, msgspec.json.encode(manifest))


def full_view(*records: Record) -> DirectoryView:
    """A complete directory with an organization, its project and its member, and what else is given."""
    view = DirectoryView()
    put(view, organization_record(), project_record(), member_record(), *records)
    declare(view, keys=sum(isinstance(record, KeyRecord) for record in records), projects=1, organizations=1, members=1)
    return view
