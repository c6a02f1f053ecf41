"""Where the bearer token comes from: CODEXFLOW_TOKEN, the stored sign-in, or nowhere."""

import time
from typing import Any

import httpx

from codexflow_cli.client import API, Answer, answer_of, send
from codexflow_cli.credentials import Credentials, CredentialStore
from codexflow_cli.errors import NotSignedIn, Refused

EARLY_SECONDS = 30.0
"""An access token this close to its end is exchanged before it is used."""
UNAUTHENTICATED = 401
GONE = "The sign-in has ended. Sign in with `codexflow login`."


class NoToken:
    """For the few requests that need none: to sign in, the first user, an invitation."""

    def token(self) -> str:
        """None is sent."""
        return ""

    def another(self, refused: str) -> None:  # noqa: ARG002 - the protocol's argument
        """There is none."""
        return


class GivenToken:
    """A personal access token or one of a service account."""

    def __init__(self, token: str) -> None:
        self._token = token

    def token(self) -> str:
        """The one that was given."""
        return self._token

    def another(self, refused: str) -> None:  # noqa: ARG002 - the protocol's argument
        """It is good or it is not."""
        return


class StoredSession:
    """The sign-in of `codexflow login`: its refresh token is spent for new access tokens, one command at a time."""

    def __init__(self, store: CredentialStore, url: str, http: httpx.Client) -> None:
        self._store, self._url, self._http = store, url, http

    def token(self) -> str:
        """The stored access token, or a new one when that ends soon."""
        held = self._held()
        return held.access_token if held.expires_at - EARLY_SECONDS > time.time() else self._exchange(held.access_token)

    def another(self, refused: str) -> str:
        """A new one, unless another command has fetched one meanwhile."""
        return self._exchange(refused)

    def _held(self) -> Credentials:
        held = self._store.read(self._url)
        if held is None:
            raise NotSignedIn(f"Not signed in to {self._url}. Sign in with `codexflow login`, or set CODEXFLOW_TOKEN.")
        return held

    def _exchange(self, refused: str) -> str:
        with self._store.locked():
            held = self._held()
            if held.access_token != refused:
                return held.access_token
            try:
                fresh = credentials_of(refresh(self._http, self._url, held.refresh_token), email=held.email)
            except Refused as problem:
                if problem.status == UNAUTHENTICATED:
                    self._store.remove(self._url)
                    raise NotSignedIn(GONE) from None
                raise
            self._store.write(self._url, fresh)
            return fresh.access_token


def refresh(http: httpx.Client, url: str, refresh_token: str) -> Answer:
    """Spend a refresh token. Sent once: a second try would look like a theft."""
    request = http.build_request("POST", f"{url}{API}/auth/refresh", json={"refresh_token": refresh_token})
    return answer_of(send(http, request, url), url)


def credentials_of(answer: Answer, *, email: str) -> Credentials:
    """What to keep of an answer of login or refresh."""
    document: dict[str, Any] = answer.document
    return Credentials(
        refresh_token=document["refresh_token"],
        access_token=document["access_token"],
        expires_at=time.time() + document["expires_in"],
        email=email,
    )
