"""Keys that nobody has: one is joined in place of an unknown one, so that a refusal takes as long as that of a revoked one.

There are many, since a record that was not looked at for a while takes longer to read than one that is looked at all the time.
"""

from functools import cache

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
from gateway.domain.caller import Caller
from gateway.domain.directory_view import DirectoryView

MANY = 256
_ID = "00000000-0000-7000-8000-000000000000"
_HELD = (
    (project_entry(_ID), ProjectRecord(project_id=_ID, organization_id=_ID, version=1, status="active", name="a decoy")),
    (organization_entry(_ID), OrganizationRecord(organization_id=_ID, version=1, status="active", name="a decoy")),
    (member_entry(_ID, _ID), MemberRecord(member_id=_ID, organization_id=_ID, version=1, status="active")),
)


def decoy(number: int) -> Caller:
    """One of them, joined anew; any byte will do."""
    caller = _decoys().join(_lookup(number))
    if caller is None:
        raise IndexError(number)
    return caller


def _lookup(number: int) -> str:
    return f"{number:0{LOOKUP_LENGTH}}"


@cache
def _decoys() -> DirectoryView:
    """A directory of them, and of what they belong to."""
    view = DirectoryView()
    for entry, record in _HELD:
        view.apply(entry, msgspec.json.encode(record))
    for number in range(MANY):
        view.apply(key_entry(_lookup(number)), msgspec.json.encode(_key(number)))
    return view


def _key(number: int) -> KeyRecord:
    """As long as an ordinary one."""
    return KeyRecord(
        key_id=_ID,
        lookup=_lookup(number),
        project_id=_ID,
        organization_id=_ID,
        version=1,
        status="revoked",
        secrets=(KeySecret(pepper_version=-1, digest="0" * 64),),
        name=f"Decoy {number}",
        tags={"team": "nobody's"},
        owner_kind="member" if number % 2 else None,
        owner_id=_ID if number % 2 else None,
    )
