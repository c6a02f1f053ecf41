"""The lock of the OpenID provider that the tests run against."""

import json
import re

from tests.checkout import ROOT

FOLDER = ROOT / "tests" / "oidc"


def test_every_package_has_its_hash_and_no_address() -> None:
    """An exact version and a SHA-512 for each, so that any registry serves and none can serve something else."""
    packages = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    locked = {name: entry for name, entry in packages.items() if name}
    assert "node_modules/oidc-provider" in locked
    for name, entry in locked.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", entry["version"]), name
        assert entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, name


def test_what_is_asked_for_is_exact() -> None:
    """And nothing is run at installation that is not ours to run."""
    asked = json.loads((FOLDER / "package.json").read_text())
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in asked["dependencies"].values())
    assert "scripts" not in asked
