"""The last-known-good directory on disk: a revocation, once appended, is found by the next start."""

import hmac
import os
from pathlib import Path

import msgspec
import pytest

from common.contracts.directory import KeyRecord, Manifest, MemberRecord
from gateway.domain.directory_view import DirectoryView
from gateway.outbound.directory_file import DirectoryFile

SECRET = b"s" * 32


def make_key(*, version: int, status: str) -> KeyRecord:
    return KeyRecord(
        key_id="k",
        lookup="lookup",
        project_id="p",
        organization_id="o",
        version=version,
        status=status,  # type: ignore[arg-type] # the tests name only known ones
        secrets=(),
    )


def make_view() -> DirectoryView:
    view = DirectoryView()
    view.apply("key.lookup", msgspec.json.encode(make_key(version=1, status="active")))
    view.apply("manifest", msgspec.json.encode(Manifest(generation=1, keys=1, projects=0, organizations=0, published_at=0)))
    return view


def status_after_restart(folder: Path) -> str:
    view = DirectoryView()
    file = DirectoryFile(folder, SECRET)
    assert file.load(view) is not None
    file.close()
    key = view.key("lookup")
    assert key is not None
    return key.status


REVOKED = msgspec.json.encode(make_key(version=2, status="revoked"))


def test_a_revocation_during_a_save_is_not_lost(tmp_path: Path) -> None:
    """It came after the entries had been listed, so the view does not contain it and the journal keeps it."""
    file, view = DirectoryFile(tmp_path, SECRET), make_view()
    size, entries = file.journal_size(), view.snapshot()
    view.apply("key.lookup", REVOKED)
    file.append_change("key.lookup", REVOKED)
    file.save_view(entries)
    file.shorten_journal(size)
    file.save_freshness("created")
    assert status_after_restart(tmp_path) == "revoked"


def test_the_journal_begins_anew_after_a_quiet_save(tmp_path: Path) -> None:
    """What the saved view contains need not be kept twice."""
    file, view = DirectoryFile(tmp_path, SECRET), make_view()
    view.apply("key.lookup", REVOKED)
    file.append_change("key.lookup", REVOKED)
    size = file.journal_size()
    assert size
    file.save_view(view.snapshot())
    file.shorten_journal(size)
    file.save_freshness("created")
    assert file.journal_size() == 0
    assert status_after_restart(tmp_path) == "revoked"


def test_a_torn_line_does_not_swallow_the_next(tmp_path: Path) -> None:
    """A write that was cut short leaves half a line; the revocation after it is still found."""
    file = DirectoryFile(tmp_path, SECRET)
    file.save_view(make_view().snapshot())
    file.save_freshness("created")
    os.write(file._journal, b"0123456789abcdef key.ot")
    file.append_change("key.lookup", REVOKED)
    assert status_after_restart(tmp_path) == "revoked"


def test_a_view_from_before_there_were_members_is_read(tmp_path: Path) -> None:
    """An older release wrote it, without a record of a member and without a count of them: it is complete as it is."""
    key = msgspec.json.encode(make_key(version=1, status="active"))
    body = b'key.lookup %b\nmanifest {"generation":1,"keys":1,"projects":0,"organizations":0,"published_at":0}' % key
    (tmp_path / "view").write_bytes(hmac.digest(SECRET, body, "sha256").hex().encode() + b"\n" + body)
    file, view = DirectoryFile(tmp_path, SECRET), DirectoryView()
    file.save_freshness("created", 7.0)
    assert file.load(view) == ("created", 7.0)
    assert view.complete
    assert view.count("key") == 1


def test_members_are_in_the_view_that_is_saved(tmp_path: Path) -> None:
    """Without them no key of theirs would work after a start without the bus."""
    file, view = DirectoryFile(tmp_path, SECRET), make_view()
    member = MemberRecord(member_id="m", organization_id="o", version=1, status="active")
    view.apply("member.o.m", msgspec.json.encode(member))
    file.save_view(view.snapshot())
    file.save_freshness("created")
    again = DirectoryView()
    assert DirectoryFile(tmp_path, SECRET).load(again) is not None
    assert again.snapshot() == view.snapshot()


@pytest.mark.parametrize("name", ["view", "fresh"])
def test_what_we_have_not_signed_counts_as_absent(tmp_path: Path, name: str) -> None:
    """One changed byte, a missing end or no file at all: nothing of it is believed."""
    file = DirectoryFile(tmp_path, SECRET)
    file.save_view(make_view().snapshot())
    file.save_freshness("created")
    whole = (tmp_path / name).read_bytes()
    for spoiled in (whole[:-2] + b"?" + whole[-1:], whole[:-3], whole[:10], b""):
        (tmp_path / name).write_bytes(spoiled)
        view = DirectoryView()
        assert file.load(view) is None
        assert view.snapshot() == {}
    (tmp_path / name).unlink()
    assert file.load(DirectoryView()) is None


def test_a_revocation_is_remembered_without_a_view(tmp_path: Path) -> None:
    """Heard before the first view was saved: an older state of the bus does not bring the key back."""
    DirectoryFile(tmp_path, SECRET).append_change("key.lookup", REVOKED)
    view = DirectoryView()
    assert DirectoryFile(tmp_path, SECRET).load(view) is None
    view.apply("key.lookup", msgspec.json.encode(make_key(version=1, status="active")))
    key = view.key("lookup")
    assert key is not None
    assert key.status == "revoked"
