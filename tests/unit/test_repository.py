"""The repository itself: nothing of a machine, of an index or of unfinished work is in it."""

import re
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

from tests.checkout import ROOT


def joined(*parts: str) -> str:
    """Patterns are put together here, so that this file does not hold what it looks for."""
    return "".join(parts)


PACKAGE_HOSTS = (
    joined("pypi", r"\.org"),
    joined("python", r"hosted\.org"),
    joined("pypi", r"\.python\.org"),
    joined("registry", r"\.npmjs\.org"),
    joined("registry", r"\.yarnpkg\.com"),
    joined("proxy", r"\.golang\.org"),
    joined("deb", r"\.debian\.org"),
    joined("--(extra-)?index", "-url "),
    joined("arti", "factory"),
    joined("/simple", r"/\s*$"),
)
MACHINE_PATHS = (
    joined("/wo", r"rk/(main|shared)"),
    joined("/tm", r"p/[a-z]+/"),
    joined("/ho", r"me/\w"),
    joined("/ro", r"ot/[.\w]"),
    joined("/Us", r"ers/\w"),
    joined("/opt/", "(wheels|pypi)"),
)
UNFINISHED = (joined(r"\bTO", r"DO\b"), joined(r"\bFIX", r"ME\b"), joined(r"\bX", r"XX\b"))
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))


@lru_cache(maxsize=1)
def tracked() -> tuple[tuple[str, str], ...]:
    """Every tracked text file with its content; files deleted in the working copy are left out."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        try:
            found.append((name, path.read_text()))
        except (UnicodeDecodeError, FileNotFoundError):
            continue
    return tuple(found)


@pytest.mark.parametrize(
    "patterns",
    [
        pytest.param(PACKAGE_HOSTS, id="package hosts"),
        pytest.param(MACHINE_PATHS, id="paths"),
        pytest.param(UNFINISHED, id="unfinished"),
    ],
)
def test_tracked_files_are_clean(patterns: tuple[str, ...]) -> None:
    """No tracked file names a package index, a path of somebody's machine, or work left for later."""
    wanted = re.compile("|".join(patterns), re.MULTILINE)
    found = [f"{name}: {hit.group(0)}" for name, text in tracked() for hit in wanted.finditer(text)]
    assert not found


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_requirements_are_hashed(path: Path) -> None:
    """Every locked package has an exact version and at least one hash, and no line names an index or a URL."""
    logical = path.read_text().replace("\\\n", " ").splitlines()
    lines = [line.strip() for line in logical if line.strip() and not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==\S+", line), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), line
        assert "://" not in line, line


def test_secrets_are_ignored() -> None:
    """What holds secrets or state cannot be added by mistake."""
    for name in (".env", ".codexflow/stack.json"):
        assert subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT, timeout=30).returncode == 0, name
