"""A key that nobody has: joined in place of an unknown one, so that a refusal takes as long as that of a revoked one."""

import msgspec

from common.contracts.api_keys import LOOKUP_LENGTH
from common.contracts.directory import (
    KeyRecord,
    KeySecret,
    MemberRecord,
    OrganizationRecord,
    ProjectRecord,
    key_entry,
    member_entry,
    organization_entry,
    project_entry,
)
from gateway.domain.directory_view import DirectoryView

LOOKUP = "0" * LOOKUP_LENGTH
_ID = "00000000-0000-7000-8000-000000000000"
_KEY = KeyRecord(
    key_id=_ID,
    lookup=LOOKUP,
    project_id=_ID,
    organization_id=_ID,
    version=1,
    status="revoked",
    secrets=(KeySecret(pepper_version=-1, digest="0" * 64),),
    name="a decoy",
    owner_kind="member",
    owner_id=_ID,
)


def decoy_view() -> DirectoryView:
    """A directory with that key alone, and with what it belongs to."""
    view = DirectoryView()
    for entry, record in (
        (key_entry(LOOKUP), _KEY),
        (project_entry(_ID), ProjectRecord(project_id=_ID, organization_id=_ID, version=1, status="active", name="a decoy")),
        (organization_entry(_ID), OrganizationRecord(organization_id=_ID, version=1, status="active", name="a decoy")),
        (member_entry(_ID, _ID), MemberRecord(member_id=_ID, organization_id=_ID, version=1, status="active")),
    ):
        view.apply(entry, msgspec.json.encode(record))
    return view
