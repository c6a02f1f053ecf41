"""The Makefile: every command runs whenever it is asked for, and switches mean what they say."""

import os
import re
import subprocess

import pytest

from tests.checkout import ROOT

TEXT = (ROOT / "Makefile").read_text()
COMMANDS = re.findall(r"^([a-z0-9-]+):", TEXT, re.MULTILINE)


def planned(*arguments: str) -> str:
    """What `make` would run, were nothing there yet."""
    environment = {"PATH": os.environ["PATH"]}
    argv = ["make", "--dry-run", "--always-make", *arguments]
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=True).stdout


def test_commands_are_no_files() -> None:
    """A folder of a command's name (bench, build) does not make it look done."""
    phony = TEXT.replace("\\\n", " ").rpartition(".PHONY:")[2].split()
    assert sorted(phony) == sorted(COMMANDS)


@pytest.mark.parametrize("off", ["", "0", "no", "false", "off"])
def test_a_switch_that_is_off_installs_nothing(off: str) -> None:
    """`LITELLM=0` means no LiteLLM, to make as to the stack."""
    assert ".venv-litellm" not in planned("up", f"LITELLM={off}")


def test_a_switch_that_is_on_does() -> None:
    """`LITELLM=1` brings its environment."""
    assert ".venv-litellm" in planned("up", "LITELLM=1")


@pytest.mark.parametrize(("service", "built"), [("", ["gateway", "accounts", "usage"]), ("usage", ["usage"])])
def test_images_of_all_or_of_one_service(service: str, built: list[str]) -> None:
    """One Dockerfile, an image for each service."""
    plan = planned("images", f"SERVICE={service}")
    assert f"for service in {' '.join(built)};" in plan
