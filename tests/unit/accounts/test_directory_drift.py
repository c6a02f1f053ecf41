"""What the reconciliation knows of the bucket, and what it takes over from a record that is ahead of its row."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.directory_drift import closed_for_ever, closings, decoded, drift_of
from accounts.domain.directory_snapshot import ABSENT, DirectorySnapshot, Stored
from accounts.domain.objects import Key, Member, Project
from common.contracts.directory import KeyRecord, KeySecret

NOW = datetime(2027, 1, 31, tzinfo=UTC)
held = st.builds(Stored, st.integers(1, 2**40), st.integers(1, 2**40), st.sampled_from(["", "active", "revoked"]))


@given(bucket=st.dictionaries(st.text(min_size=1), held), asked=st.sets(st.text(min_size=1)))
def test_a_snapshot_answers_like_a_dictionary(bucket: dict[str, Stored], asked: set[str]):
    """Versions and sequences as they were added, nothing for what was not; what nobody asks for is a stranger, if not revoked."""
    snapshot = DirectorySnapshot()
    for entry, stored in bucket.items():
        snapshot.add(entry, stored)
    snapshot.settle()
    assert len(snapshot) == len(bucket)
    for entry in asked | set(list(bucket)[::2]):
        found, expected = snapshot.meet(entry), bucket.get(entry, ABSENT)
        assert (found.version, found.sequence) == (expected.version, expected.sequence)
    unmet = [bucket[entry] for entry in list(bucket)[1::2] if entry not in asked]
    assert sorted(snapshot.strangers()) == sorted(stored.sequence for stored in unmet if stored.status != "revoked")


def _key(**changes: Any) -> Key:
    values: dict[str, Any] = {
        "id": "k", "project_id": "p", "organization_id": "o", "lookup": "L" * 16, "hint": "", "name": "Key", "label": "live",
        "status": "active", "secrets": (_secret("a"),), "models": None, "tags": {}, "expires_at": None, "created_by": "u",
        "revoked_at": None, "version": 2, "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    return Key(**{**values, **changes})


def _secret(digest: str) -> KeySecret:
    return KeySecret(pepper_version=1, digest=digest)


def _member(status: str) -> Member:
    return Member(
        user_id="u", organization_id="o", email="a@b.c", name="", role="viewer", status=status, user_status="active", version=2,
        created_at=NOW, updated_at=NOW,
    )  # fmt: skip


def test_each_kind_of_drift_is_told_apart():
    """By versions, and by bytes where the versions are equal: that happens after a restore alone."""
    record = _key().record()
    body = msgspec.json.encode(record)
    assert drift_of(record, Stored(2, 9, "active"), body) is None
    assert drift_of(record, ABSENT, b"") == "missing"
    assert drift_of(record, Stored(1, 9), b"") == "older"
    assert drift_of(record, Stored(3, 9), b"") == "newer"
    assert drift_of(record, Stored(2, 9), msgspec.json.encode(_key(name="Other").record())) == "newer"
    assert drift_of(None, Stored(3, 9, "active"), body) == "orphan"
    assert drift_of(None, Stored(3, 9, "revoked"), body) is None
    assert drift_of(None, ABSENT, b"") is None


@pytest.mark.parametrize(
    ("row", "ahead", "becomes"),
    [
        ("active", "active", None),
        ("active", "suspended", "suspended"),
        ("active", "revoked", "revoked"),
        ("suspended", "active", None),
        ("suspended", "revoked", "revoked"),
        ("revoked", "active", None),
    ],
)
def test_a_restored_database_opens_nothing_that_was_closed(row: str, ahead: str, becomes: str | None):
    """The more closed status of the two stays."""
    changes = closings(_key(status=row), _key(status=ahead, version=5).record())
    assert changes.get("status") == becomes


def test_statuses_are_said_in_the_words_of_the_row():
    """Members end, projects are suspended: their rows know no `revoked`."""
    gone = closed_for_ever(_member("active").record())
    assert closings(_member("active"), gone) == {"status": "ended"}
    assert closings(_member("ended"), gone) == {}
    project = Project(
        id="p", organization_id="o", name="P", slug="p", status="active", models=None, budget_mode="strict", on_no_grant="closed",
        revoked_streams="cut", retention_days=None, version=1, created_at=NOW, updated_at=NOW,
    )  # fmt: skip
    assert closings(project, closed_for_ever(project.record())) == {"status": "suspended"}


def test_a_secret_that_was_rotated_away_does_not_come_back():
    """Those that both know stay; when there is none in common the database's do, or the key would be dead."""
    ahead = _key(secrets=(_secret("b"), _secret("c")), version=5).record()
    assert [secret["digest"] for secret in closings(_key(secrets=(_secret("a"), _secret("b"))), ahead)["secrets"]] == ["b"]
    assert closings(_key(secrets=(_secret("b"),)), ahead) == {}
    assert closings(_key(secrets=(_secret("a"),)), ahead) == {}


@pytest.mark.parametrize("body", [b"", b"{", b'{"version": 3}', b"[]", msgspec.json.encode(_key().record())])
def test_what_is_no_record_of_ours_is_not_taken_for_one(body: bytes):
    """A body must be of the entry's kind and name that entry."""
    assert decoded("key.other", body) is None
    assert decoded("something.else", body) is None
    assert isinstance(decoded(f"key.{'L' * 16}", msgspec.json.encode(_key().record())), KeyRecord)
