"""The last-known-good directory on disk: a revocation, once appended, is found by the next start."""

import os
from pathlib import Path

import msgspec

from common.contracts.directory import KeyRecord, Manifest
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
    return view.keys["lookup"].status


REVOKED = msgspec.json.encode(make_key(version=2, status="revoked"))


def test_a_revocation_during_a_save_is_not_lost(tmp_path: Path) -> None:
    """It came after the entries had been listed, so the view does not contain it and the journal keeps it."""
    file, view = DirectoryFile(tmp_path, SECRET), make_view()
    size, entries = file.journal_size(), list(view.entries())
    view.apply("key.lookup", REVOKED)
    file.append_revocation("key.lookup", REVOKED)
    file.save_view(entries)
    file.shorten_journal(size)
    file.save_freshness("created")
    assert status_after_restart(tmp_path) == "revoked"


def test_the_journal_begins_anew_after_a_quiet_save(tmp_path: Path) -> None:
    """What the saved view contains need not be kept twice."""
    file, view = DirectoryFile(tmp_path, SECRET), make_view()
    view.apply("key.lookup", REVOKED)
    file.append_revocation("key.lookup", REVOKED)
    size = file.journal_size()
    assert size
    file.save_view(list(view.entries()))
    file.shorten_journal(size)
    file.save_freshness("created")
    assert file.journal_size() == 0
    assert status_after_restart(tmp_path) == "revoked"


def test_a_torn_line_does_not_swallow_the_next(tmp_path: Path) -> None:
    """A write that was cut short leaves half a line; the revocation after it is still found."""
    file = DirectoryFile(tmp_path, SECRET)
    file.save_view(list(make_view().entries()))
    file.save_freshness("created")
    os.write(file._journal, b"0123456789abcdef key.ot")
    file.append_revocation("key.lookup", REVOKED)
    assert status_after_restart(tmp_path) == "revoked"
