"""A whole stack on ports and a state folder of its own, started as a user starts it, and what tests ask of it."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from devstack.servers.ports import free_port, is_free
from devstack.stack.settings import CHECKOUT

_OURS = (
    "OPENAI_",
    "UPSTREAM_",
    "LITELLM",
    "GATEWAY",
    "ACCOUNTS_",
    "USAGE_",
    "BUS_",
    "CODEXFLOW_",
    "MAKE",
    "MFLAGS",
    "PYTHONPATH",
)


def free_ports(gateways: int = 1) -> dict[str, str]:
    """Variables for the public ports: gateways take every tenth."""
    while True:
        first = free_port()
        if all(is_free(first + 10 * number) for number in range(1, gateways)):
            break
    accounts, usage = free_port(), free_port()
    if len({accounts, usage, *(first + 10 * number for number in range(gateways))}) < 2 + gateways:
        return free_ports(gateways)
    return {"GATEWAY_PORT": str(first), "ACCOUNTS_PORT": str(accounts), "USAGE_PORT": str(usage)}


PATIENT = {"GATEWAY_GRANT_WAIT_MS": "20000"}
"""On a machine that stalls, a grant may take longer than a client of ours would wait for it."""


def environment(state: Path, **variables: str) -> dict[str, str]:
    """The caller's environment without anything that would change the stack, plus its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, **PATIENT, "CODEXFLOW_STATE": str(state), **variables}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; `json` is None when the body is something else."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def call(
    method: str, url: str, body: object = None, *, bearer: str | None = None, timeout: float = 60.0, **headers: str
) -> Answer:
    """One HTTP request. Headers are given with underscores for dashes."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if bearer:
        sent["authorization"] = f"Bearer {bearer}"
    data = body if body is None or isinstance(body, bytes) else json.dumps(body)
    if data is not None:
        sent.setdefault("content-type", "application/json")
    try:
        connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body=data, headers=sent)
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def manage(method: str, url: str, body: object = None, *, bearer: str | None = None) -> Answer:
    """A request to accounts or usage, made again while they say that their database does not answer in time."""
    over = time.monotonic() + 60
    while (answer := call(method, url, body, bearer=bearer)).status == 503 and time.monotonic() < over:
        time.sleep(0.1)
    return answer


def eventually(check: Any, *, timeout: float = 60.0) -> Any:
    """The first true value that `check` answers; fails when the time is over."""
    over = time.monotonic() + timeout
    while not (value := check()):
        assert time.monotonic() < over, f"still {value!r} after {timeout} s"
        time.sleep(0.02)
    return value


@dataclass
class RunningStack:
    """Knows how to start and stop it; the addresses are read from stack.json."""

    state: Path
    env: dict[str, str]
    printed: str = ""
    _token: str | None = field(default=None, repr=False)
    _renew_at: float = field(default=0.0, repr=False)

    def devstack(self, *arguments: str, timeout: float = 240.0) -> subprocess.CompletedProcess[str]:
        """Run `python -m devstack …` to its end."""
        argv = [sys.executable, "-m", "devstack", *arguments]
        return subprocess.run(argv, env=self.env, cwd=CHECKOUT, capture_output=True, text=True, timeout=timeout)

    def make(self, *arguments: str, timeout: float = 280.0) -> subprocess.CompletedProcess[str]:
        """Run `make …` to its end."""
        return subprocess.run(["make", *arguments], env=self.env, cwd=CHECKOUT, capture_output=True, text=True, timeout=timeout)

    @property
    def described(self) -> dict[str, Any]:
        """stack.json as it is now."""
        return json.loads((self.state / "stack.json").read_text())

    @property
    def gateway(self) -> str:
        return self.described["gateway_url"]

    @property
    def accounts(self) -> str:
        return self.described["accounts_url"]

    @property
    def usage(self) -> str:
        return self.described["usage_url"]

    @property
    def provider(self) -> str:
        return self.described["provider_url"]

    @property
    def api_key(self) -> str:
        return self.described["api_key"]

    @property
    def token(self) -> str:
        """The demo user's access token, made anew for each stack object and when it gets old."""
        if self._token is None or time.monotonic() > self._renew_at:
            login = {"email": self.described["user_email"], "password": self.described["user_password"]}
            answer = manage("POST", f"{self.accounts}/api/v1/auth/login", login)
            assert answer.status == 200, answer.body
            self._token = answer.json["access_token"]
            self._renew_at = time.monotonic() + answer.json["expires_in"] / 2
        return self._token

    def manage(self, method: str, path: str, body: object = None, *, expect: int | None = None) -> Any:
        """Ask accounts as the demo user; the JSON of the answer."""
        answer = manage(method, f"{self.accounts}/api/v1{path}", body, bearer=self.token)
        assert answer.status == expect if expect else answer.status < 300, (answer.status, answer.body)
        return answer.json

    def report(self, path: str) -> Any:
        """Ask usage as the demo user; the JSON of the answer."""
        answer = manage("GET", f"{self.usage}/api/v1{path}", bearer=self.token)
        assert answer.status == 200, (answer.status, answer.body)
        return answer.json

    def new_project(self, name: str = "A project", **fields: Any) -> tuple[str, str]:
        """A project of the demo organization's and the plaintext of a key for it."""
        path = f"/organizations/{self.described['organization_id']}/projects"
        project = self.manage("POST", path, {"name": name, **fields})
        key = self.manage("POST", f"/projects/{project['id']}/keys", {"name": "test"})
        return project["id"], key["key"]

    def chat(self, content: str = "Hello!", *, key: str | None = None, gateway: str | None = None, **fields: Any) -> Answer:
        """A chat completion; `fields` go into the body."""
        body = {"model": "auto", "messages": [{"role": "user", "content": content}], **fields}
        return call("POST", f"{gateway or self.gateway}/v1/chat/completions", body, bearer=key or self.api_key)


def taken_port() -> socket.socket:
    """A socket that listens, so that its port is taken; the caller closes it."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", free_port()))
    taken.listen()
    return taken
