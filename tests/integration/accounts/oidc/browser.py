"""A person at a browser: follows redirects and fills in the provider's forms."""

import re
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx

CALLBACK = "/api/v1/auth/oidc/"
MOST_STEPS = 20


class Browser:
    """One browser with its cookies; `accounts` is the URL of the service."""

    def __init__(self, accounts: str) -> None:
        self.accounts = accounts
        self.client = httpx.Client(follow_redirects=False, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def start(self, provider: str, **query: str) -> httpx.Response:
        """The first step of a sign-in."""
        return self.client.get(f"{self.accounts}/api/v1/auth/oidc/{provider}/start", params=query)

    def walk(self, provider: str, subject: str, *, refuse: bool = False, **query: str) -> str:
        """Sign in at the provider as this person (or go back there); the URL of our callback with what the provider added."""
        answer = self.start(provider, **query)
        assert answer.status_code == 302, answer.text
        for _ in range(MOST_STEPS):
            if answer.is_redirect:
                there = str(answer.url.join(answer.headers["location"]))
                if urlsplit(there).path.startswith(CALLBACK):
                    return there
                answer = self.client.get(there)
            elif refuse:
                answer = self.client.get(re.search(r'href="([^"]+/abort)"', answer.text)[1])
            else:
                answer = self._fill_in(answer, subject)
        raise AssertionError(f"the provider leads nowhere: {answer.status_code} {answer.text[:500]}")

    def sign_in(self, provider: str, subject: str, **query: str) -> httpx.Response:
        """The whole way; the callback's answer."""
        return self.client.get(self.walk(provider, subject, **query))

    def _fill_in(self, page: httpx.Response, subject: str) -> httpx.Response:
        assert page.status_code == 200, page.text
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', page.text))
        if 'name="login"' in page.text:
            fields |= {"login": subject, "password": "any"}
        return self.client.post(re.search(r'<form[^>]* action="([^"]+)"', page.text)[1], data=fields)


def query_of(url: str) -> dict[str, Any]:
    """The query's parameters, each once."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
