"""HTTP with accounts: one request, one answer, or one of the errors of errors.py."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

import httpx

from codexflow_cli.errors import NotSignedIn, Refused, Unreachable

API = "/api/v1"
TIMEOUT = httpx.Timeout(60.0, connect=5.0)
PAUSES = (0.5, 2.0)
"""Before a create that was cut off is sent again, under the same Idempotency-Key."""
LARGEST_PAGE = 200
PROBLEM = "application/problem+json"
UNAUTHENTICATED, SERVER_ERROR = 401, 500

Query = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What the service said: the document as it came, and as values."""

    text: str
    document: Any


class Tokens(Protocol):
    """Where the bearer token of a request comes from."""

    def token(self) -> str:
        """One that should be valid. Raises NotSignedIn."""

    def another(self, refused: str) -> str | None:
        """A new one in place of one that the service did not take; None when there is none to be had."""


class Client:
    """Speaks for one person or service account."""

    def __init__(self, url: str, tokens: Tokens, http: httpx.Client, idempotency_key: str | None = None) -> None:
        self._url, self._tokens, self._http = url, tokens, http
        self._idempotency_key = idempotency_key or str(uuid4())

    def get(self, path: str, query: Query | None = None) -> Answer:
        """Read."""
        return self._send("GET", path, query=query)

    def pages(self, path: str, query: Query | None = None) -> Iterator[Mapping[str, Any]]:
        """All items of a list, page after page."""
        cursor: str | None = None
        while True:
            page = self.get(path, {**(query or {}), "limit": LARGEST_PAGE, "cursor": cursor}).document
            yield from page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def create(self, path: str, body: object = None, *, if_version: int | None = None) -> Answer:
        """POST with an Idempotency-Key: sent again when no answer came, done once all the same. A command creates one thing."""
        headers = {"idempotency-key": self._idempotency_key, **_condition(if_version)}
        return self._send("POST", path, body=body, headers=headers, pauses=PAUSES)

    def post(self, path: str, body: object = None, *, if_version: int | None = None) -> Answer:
        """An action that is sent once."""
        return self._send("POST", path, body=body, headers=_condition(if_version))

    def change(self, path: str, body: object, *, if_version: int | None = None) -> Answer:
        """PATCH; with a version only if that is still the present one."""
        return self._send("PATCH", path, body=body, headers=_condition(if_version))

    def put(self, path: str, body: object) -> Answer:
        """PUT."""
        return self._send("PUT", path, body=body)

    def delete(self, path: str, query: Query | None = None, *, if_version: int | None = None) -> Answer:
        """DELETE."""
        return self._send("DELETE", path, query=query, headers=_condition(if_version))

    @contextmanager
    def download(self, path: str, query: Query | None = None) -> Iterator[Iterator[bytes]]:
        """A body too large to hold, piece by piece. Raises Unreachable when it ends too early."""
        token = self._tokens.token()
        with _reaching(self._url):
            response = self._open(path, query, token)
            if response.status_code == UNAUTHENTICATED and (fresh := self._tokens.another(token)):
                response.close()
                response = self._open(path, query, fresh)
            with closing(response):
                if response.is_error:
                    response.read()
                    raise _refusal(response, self._url)
                yield response.iter_bytes()

    def _open(self, path: str, query: Query | None, token: str) -> httpx.Response:
        url, params = _target(self._url, path, query)
        return self._http.send(self._http.build_request("GET", url, params=params, headers=_bearer(token)), stream=True)

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        pauses: tuple[float, ...] = (),
    ) -> Answer:
        url, params = _target(self._url, path, query)
        token = self._tokens.token()
        content = None if body is None else json.dumps(body).encode()
        given = {**(headers or {}), **({} if content is None else {"content-type": "application/json"})}

        def once(bearer: str) -> httpx.Response:
            request = self._http.build_request(method, url, params=params, content=content, headers={**given, **_bearer(bearer)})
            return send(self._http, request, self._url, pauses=pauses)

        response = once(token)
        if response.status_code == UNAUTHENTICATED and (fresh := self._tokens.another(token)):
            response = once(fresh)
        return answer_of(response, self._url)


def send(http: httpx.Client, request: httpx.Request, url: str, *, pauses: tuple[float, ...] = ()) -> httpx.Response:
    """Send, and send again after each pause while the connection breaks before an answer. Raises Unreachable."""
    for pause in pauses:
        try:
            return http.send(request)
        except (httpx.ReadError, httpx.WriteError, httpx.ReadTimeout, httpx.RemoteProtocolError):
            time.sleep(pause)
        except httpx.HTTPError:
            break
    with _reaching(url):
        return http.send(request)


def answer_of(response: httpx.Response, url: str) -> Answer:
    """The answer to a request that was granted. Raises what it was refused with."""
    if not response.is_success:
        raise _refusal(response, url)
    try:
        return Answer(response.text, response.json() if response.content else None)
    except ValueError:
        raise _stranger(response, url) from None


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.ConnectError as problem:
        raise Unreachable(f"Cannot reach {url}: {problem}.") from None
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        raise Unreachable(
            f"No answer from {url} ({type(problem).__name__}); if it was a change, look whether it was made."
        ) from None


def _refusal(response: httpx.Response, url: str) -> Refused | NotSignedIn | Unreachable:
    if response.headers.get("content-type", "").partition(";")[0] != PROBLEM:
        return _stranger(response, url)
    refused = Refused(response.json())
    if refused.code == "unauthenticated" and "authorization" in response.request.headers:
        return NotSignedIn(f"{refused} Sign in with `codexflow login`.")
    return refused


def _stranger(response: httpx.Response, url: str) -> Unreachable:
    return Unreachable(f"{url} answered {response.status_code}, but not as the accounts service does. Is the address right?")


def _target(url: str, path: str, query: Query | None) -> tuple[str, dict[str, Any]]:
    return f"{url}{API}{path}", {name: value for name, value in (query or {}).items() if value is not None}


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


def _condition(version: int | None) -> dict[str, str]:
    return {} if version is None else {"if-match": f'"v{version}"'}
