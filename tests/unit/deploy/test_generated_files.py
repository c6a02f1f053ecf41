"""Files that are written by programs of this repository are what those programs write."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

from common.contracts.api_keys import Peppers
from tests.checkout import ROOT

MAKE_ENV = ROOT / "deploy/make-env.sh"


def make_env(target: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs deploy/make-env.sh with a target of the test's own."""
    return subprocess.run(
        [MAKE_ENV, target], env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True, timeout=30
    )


def read(target: Path) -> dict[str, str]:
    """The settings of an .env file."""
    lines = (line for line in target.read_text().splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def test_nats_config_is_the_rendering() -> None:
    """The NATS permissions that are deployed are those of common.bus.server_config."""
    rendered = subprocess.run(
        [sys.executable, ROOT / "deploy/nats/render.py"], capture_output=True, text=True, timeout=30, check=True
    )
    assert (ROOT / "deploy/nats/nats.conf").read_text() == rendered.stdout


def test_make_env_writes_fresh_secrets(tmp_path: Path) -> None:
    """Every secret is made, private to the owner, of the right form, and different each time."""
    first, second = tmp_path / "first", tmp_path / "second"
    assert make_env(first).returncode == 0
    assert make_env(second).returncode == 0
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    one, two = read(first), read(second)
    made = {name for name in one if not read(ROOT / ".env.example")[name] and not name.startswith("OPENAI_")}
    assert len(made) == 14
    assert all(one[name] and one[name] != two[name] for name in made)
    assert len({one[name] for name in made}) == len(made)
    assert all(re.fullmatch(r"[a-z][0-9a-z]{40,}", one[name]) for name in made if name.endswith("_PASSWORD"))
    Peppers.parse(one["KEY_PEPPERS"])
    assert len(bytes.fromhex(one["ACCOUNTS_SIGNING_KEY"])) == len(bytes.fromhex(one["GATEWAY_VIEW_SECRET"])) == 32


def test_make_env_takes_what_is_given(tmp_path: Path) -> None:
    """A setting in the environment is taken over as it is."""
    target = tmp_path / "env"
    make_env(target, OPENAI_API_KEY_2="sk-given", POSTGRES_PASSWORD="mine")
    assert read(target)["OPENAI_API_KEY_2"] == "sk-given"
    assert read(target)["POSTGRES_PASSWORD"] == "mine"


def test_make_env_never_overwrites(tmp_path: Path) -> None:
    """Secrets in use are not lost by running it again."""
    target = tmp_path / "env"
    target.write_text("IN_USE=1\n")
    again = make_env(target)
    assert again.returncode == 1
    assert "stays as it is" in again.stderr
    assert target.read_text() == "IN_USE=1\n"
