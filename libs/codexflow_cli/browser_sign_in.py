"""Signing in by an identity provider: a browser goes there, and comes back to an address of this machine that we listen on."""

import base64
import hashlib
import secrets
import webbrowser
from http.server import BaseHTTPRequestHandler, HTTPServer
from time import monotonic
from urllib.parse import parse_qs, urlencode, urlsplit

from codexflow_cli.client import Answer, Client
from codexflow_cli.errors import NotSignedIn, WrongUse
from codexflow_cli.rendering import say

WAIT_SECONDS = 600.0
FOUND, UNKNOWN = 200, 404


class _Waiting(HTTPServer):
    """Hears one browser come back, to a path that only it was told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.path = f"/{secrets.token_urlsafe(16)}"
        self.address = f"http://127.0.0.1:{self.server_port}{self.path}"
        self.answer: dict[str, list[str]] = {}
        self.timeout = 1.0

    def wait(self) -> dict[str, list[str]]:
        """What the address was called with; empty when nobody came in time."""
        end = monotonic() + WAIT_SECONDS
        while not self.answer and monotonic() < end:
            self.handle_request()
        return self.answer


class _Handler(BaseHTTPRequestHandler):
    server: _Waiting
    timeout = 5.0

    def do_GET(self) -> None:
        """The browser's call; anything else is turned away."""
        parts = urlsplit(self.path)
        ours = secrets.compare_digest(parts.path.encode(), self.server.path.encode())
        if ours:
            self.server.answer = parse_qs(parts.query) or {"error": ["unknown"]}
        self.send_response(FOUND if ours else UNKNOWN)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"Back to the terminal: this page can be closed.\n" if ours else b"")

    def log_message(self, *_: object) -> None:
        """Nothing: its lines would show the code."""


def sign_in_by_browser(client: Client, provider: str, *, open_browser: bool) -> Answer:
    """The tokens. Raises WrongUse for a provider that is not there, NotSignedIn when it came to nothing."""
    start = _start_of(client, provider)
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    with _Waiting() as server:
        address = f"{start}?{urlencode({'return_to': server.address, 'code_challenge': challenge})}"
        say(f"Sign in here:\n{address}")
        if open_browser:
            webbrowser.open(address)
        answer = server.wait()
    if "code" not in answer:
        raise NotSignedIn(f"The sign-in came to nothing: {answer.get('error', ['nobody came back in time'])[0]}.")
    return client.post("/auth/oidc/exchange", {"code": answer["code"][0], "code_verifier": verifier})


def _start_of(client: Client, provider: str) -> str:
    offered = {item["name"]: item["start"] for item in client.get("/auth/oidc").document["data"]}
    if provider not in offered:
        raise WrongUse(f"There is no provider {provider}; there are: {', '.join(offered) or 'none'}.")
    return str(offered[provider])
