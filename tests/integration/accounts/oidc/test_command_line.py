"""`codexflow login --provider`: the browser goes to the provider and comes back to the program."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.accounts.oidc.browser import Browser, query_of
from tests.integration.accounts.oidc.conftest import Installation
from tests.integration.cli.terminal import PROGRAM, SECONDS, Terminal


@pytest.fixture
def terminal(installation: Installation, tmp_path: Path) -> Terminal:
    """Somebody's, not signed in."""
    return Terminal(tmp_path / "home", installation.process.url)


@contextmanager
def waiting(terminal: Terminal, provider: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A login that has said where to sign in, and that address."""
    words = [str(PROGRAM), "login", "--provider", provider, "--no-browser"]
    process = subprocess.Popen(words, env=terminal.env, cwd=terminal.work, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr.readline() == "Sign in here:\n"
        yield process, process.stderr.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_person_signs_in_by_the_browser(installation: Installation, browser: Browser, domain: str, terminal: Terminal) -> None:
    """With the organization and role that operator and owner have mapped by the command line; the page says to go back."""
    homes = terminal.home.parent
    operator = Terminal(homes / "opera", installation.process.url).sign_in("opera@example.com")
    mapping = ("domains", "map", domain, "--provider", "company", "--role", "viewer")
    assert operator.json(*mapping, "--organization", installation.organization_id)["default_role"] == "viewer"
    owner = Terminal(homes / "olga", installation.process.url).sign_in("olga@example.com")
    assert owner.json("groups", "map", "platform", "--provider", "company", "--role", "developer")["role"] == "developer"
    email = f"ada@{domain}"
    installation.providers["company"].put_person(email, email=email, email_verified=True, name="Ada", groups=["platform"])
    with waiting(terminal, "company") as (process, address):
        back = browser.sign_in("company", email, **query_of(address)).headers["location"]
        stranger = httpx.URL(back).copy_with(path="/guess")
        assert httpx.get(stranger, timeout=SECONDS).status_code == 404
        assert "Back to the terminal" in httpx.get(back, timeout=SECONDS).text
        said = process.stderr.read()
        assert process.wait(SECONDS) == 0
    assert said == f"Signed in to {installation.process.url}.\n"
    me = terminal.json("whoami")
    assert (me["email"], me["roles"]) == (email, {installation.organization_id: "developer"})
    assert owner.run("groups", "unmap", "platform", "--provider", "company", "--yes").code == 0
    assert operator.run("domains", "unmap", domain, "-o", installation.organization_id, "--yes").code == 0


def test_a_refused_sign_in_ends_the_command(
    installation: Installation, browser: Browser, domain: str, terminal: Terminal
) -> None:
    """Exit code 4, the reason in one word, and nothing is kept."""
    email = f"eve@{domain}"
    installation.providers["company"].put_person(email, email=email, email_verified=True, name="Eve")
    with waiting(terminal, "company") as (process, address):
        back = browser.sign_in("company", email, **query_of(address)).headers["location"]
        httpx.get(back, timeout=SECONDS)
        said = process.stderr.read()
        assert process.wait(SECONDS) == 4
    assert "came to nothing" in said
    assert not (terminal.folder / "credentials.json").exists()


def test_an_unknown_provider_is_named(terminal: Terminal) -> None:
    """With those that there are; nothing is begun."""
    assert "company" in terminal.run("login", "--provider", "nowhere", code=2).err
