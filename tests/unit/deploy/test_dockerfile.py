"""Dockerfile and .dockerignore: what is in an image, and what is not."""

import re

import pytest

from tests.checkout import ROOT

DOCKERFILES = ("Dockerfile", "deploy/litellm/Dockerfile")


@pytest.mark.parametrize("path", DOCKERFILES)
def test_images_are_locked_and_unprivileged(path: str) -> None:
    """Packages are installed by hash from wheels, the base is named by an argument with a version, the user is 10001."""
    text = (ROOT / path).read_text()
    assert "--require-hashes" in text
    assert "--only-binary=:all:" in text
    assert re.search(r"^ARG BASE=python:3\.11-slim-bookworm$", text, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE) == ["10001:10001"]


@pytest.mark.parametrize("path", DOCKERFILES)
def test_entries_need_no_shell(path: str) -> None:
    """Entry, default command and health check are in exec form, so that SIGTERM reaches the service."""
    text = (ROOT / path).read_text()
    assert re.search(r"^STOPSIGNAL SIGTERM$", text, re.MULTILINE)
    for instruction in ("ENTRYPOINT", "CMD"):
        assert re.search(rf"^{instruction} \[", text, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*CMD \[", text, re.MULTILINE)


def test_an_image_holds_one_service() -> None:
    """Only the service that the image is built for and libs/common are copied into it."""
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )?(\S+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {source for source in copied if source.startswith(("services", "libs"))} == {"libs/common", "services/${SERVICE}"}


def test_the_build_sees_only_what_is_let_in() -> None:
    """The build context begins empty, and lets in neither settings nor the development stack."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert {line for line in lines if line.startswith("!")} == {
        "!requirements/*.txt",
        "!services/**",
        "!libs/common/**",
        "!deploy/docker/**",
    }
