"""A provider that is away, has new keys, or does not know us."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.accounts.oidc.browser import Browser
from tests.integration.accounts.oidc.conftest import Installation
from tests.integration.accounts.oidc.provider import Provider
from tests.integration.accounts.process import AccountsProcess

DEADLINE_SECONDS = 60.0


@pytest.fixture
def moody(installation: Installation, domain: str) -> Iterator[Provider]:
    """The provider that may be killed, with a person of a mapped domain; runs again as it was at the end."""
    provider = installation.providers["moody"]
    installation.map_domain(domain, "moody")
    provider.put_person(f"ada-{domain}", email=f"ada@{domain}", email_verified=True)
    settings = {**provider.settings, "client": {**provider.settings["client"]}}
    yield provider
    provider.kill()
    provider.start(**settings)


def eventually(browser: Browser, subject: str) -> httpx.Response:
    """A sign-in at moody once it works; what failed a moment ago is not tried again at once."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (answer := browser.start("moody")).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert answer.status_code == 302, answer.text
    return browser.sign_in("moody", subject)


def test_a_provider_that_is_away_is_told_and_recovers(installation: Installation, moody: Provider, domain: str, tmp_path):
    """Before anything of it is known: 503 with Retry-After, for this provider alone."""
    moody.kill()
    process = AccountsProcess(installation.env, tmp_path).start()
    try:
        with Browser(process.url) as browser:
            answer = browser.start("moody")
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            assert browser.start("company").status_code == 302
            moody.start()
            deadline = time.monotonic() + DEADLINE_SECONDS
            while browser.start("moody").status_code != 302:
                assert time.monotonic() < deadline
                time.sleep(0.2)
    finally:
        process.stop()


def test_a_provider_that_goes_away_in_the_middle(installation: Installation, moody: Provider, browser: Browser, domain: str):
    """The code cannot be exchanged: 503, and the next sign-in works."""
    callback = browser.walk("moody", f"ada-{domain}")
    moody.kill()
    assert browser.client.get(callback).status_code == 503
    assert browser.client.get(callback).status_code == 401
    moody.start()
    assert eventually(browser, f"ada-{domain}").status_code == 200


def test_new_signing_keys_are_found(installation: Installation, moody: Provider, browser: Browser, domain: str):
    """The keys are fetched again when a token names one that is not among them."""
    assert eventually(browser, f"ada-{domain}").status_code == 200
    moody.kill()
    moody.start(kids=["second", "first"])
    assert eventually(browser, f"ada-{domain}").status_code == 200


def test_a_client_secret_that_is_wrong_is_the_operators_matter(
    installation: Installation, moody: Provider, browser: Browser, domain: str
):
    """503 for the person, a line in the log, and no secret in it."""
    moody.kill()
    moody.start(client={**moody.settings["client"], "secret": "another one"})
    assert eventually(browser, f"ada-{domain}").status_code == 503
    log = installation.process.log.read_text()
    assert "moody" in log
    assert "invalid_client" in log
    assert all(each.secret not in log for each in installation.providers.values())
