"""The stored sign-ins."""

import stat
from pathlib import Path

import pytest

from codexflow_cli.credentials import Credentials, CredentialStore
from codexflow_cli.errors import WrongUse

HERE, THERE = "https://here.example", "https://there.example"
FIRST = Credentials("cf-ref-1", "access-1", 1.0, "ada@example.com")


def test_each_service_has_its_own(tmp_path: Path) -> None:
    """A sign-in is sent to nobody but the service that it is of."""
    store = CredentialStore(tmp_path / "codexflow")
    with store.locked():
        store.write(HERE, FIRST)
    assert store.read(HERE) == FIRST
    assert store.read(THERE) is None
    with store.locked():
        store.remove(HERE)
    assert store.read(HERE) is None


def test_nobody_else_may_read_them(tmp_path: Path) -> None:
    """0600 in a 0700 folder, also when the file was wider before."""
    folder = tmp_path / "config/codexflow"
    store = CredentialStore(folder)
    with store.locked():
        store.write(HERE, FIRST)
        (folder / "credentials.json").chmod(0o644)
        store.write(THERE, FIRST)
    assert stat.S_IMODE((folder / "credentials.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name for path in folder.iterdir()} == {"credentials.json", "credentials.lock"}


def test_a_file_that_is_not_ours_is_said(tmp_path: Path) -> None:
    """What cannot be read is an error and is not written over; entries of another version are as if not there."""
    store = CredentialStore(tmp_path)
    (tmp_path / "credentials.json").write_text("nonsense")
    with pytest.raises(WrongUse, match=r"credentials\.json"):
        store.read(HERE)
    (tmp_path / "credentials.json").write_text('{"https://here.example": {"token": "x"}}')
    assert store.read(HERE) is None
