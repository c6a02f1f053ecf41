"""The accounts program as its operators run it: commands and a serving process, spoken to over HTTP."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx

from devstack.servers.ports import free_port
from tests.servers.fixtures import Bus, Database

READY_SECONDS = 120.0


def environment(database: Database, bus: Bus, **more: str) -> dict[str, str]:
    """A complete environment for the commands of accounts; the service does not get all of it."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("ACCOUNTS_")},
        **database.env("accounts"),
        **database.env("accounts_owner"),
        **bus.env("accounts"),
        "ACCOUNTS_KEY_PEPPERS": "1:" + "ab" * 32,
        "ACCOUNTS_SIGNING_KEY": "cd" * 32,
        "ACCOUNTS_REQUESTS_PER_MINUTE": "100000",
        **more,
    }


def run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m accounts …` to its end."""
    argv = [sys.executable, "-m", "accounts", *arguments]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)


def seed(env: dict[str, str], email: str, organization: str = "Demo") -> dict[str, Any]:
    """What `seed` printed for a user with the password `password`."""
    done = run(env, "seed", "--email", email, "--password", "password", "--organization", organization, "--project", "Chat")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class SignedIn(httpx.Auth):
    """The access token of a user who signs in anew when it gets old: a client of the whole run outlives its first one."""

    def __init__(self, url: str, email: str) -> None:
        self._url, self._email = url, email
        self._sign_in()

    def _sign_in(self) -> None:
        answer = httpx.post(f"{self._url}/auth/login", json={"email": self._email, "password": "password"}, timeout=60)
        assert answer.status_code == 200, answer.text
        session = answer.json()
        self._authorization = f"Bearer {session['access_token']}"
        self._renew_at = time.monotonic() + session["expires_in"] / 2

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:
        """Put the token into a request that does not bring its own."""
        if time.monotonic() > self._renew_at:
            self._sign_in()
        request.headers.setdefault("authorization", self._authorization)
        yield request


class AccountsProcess:
    """`python -m accounts serve` on a free port, its log beside it."""

    def __init__(self, env: dict[str, str], folder: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"accounts-{self.port}.log"
        known = {name: value for name, value in env.items() if not name.startswith("ACCOUNTS_OWNER_")}
        self._env = {**known, "ACCOUNTS_PORT": str(self.port)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait_ready: bool = True) -> Self:
        """Start and wait until /readyz (or just /healthz) answers 200."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "accounts", "serve"], env=self._env, stdout=log, stderr=log)
        self.wait_for("/readyz" if wait_ready else "/healthz")
        return self

    def wait_for(self, path: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log.read_text()[-3000:]
            try:
                if httpx.get(self.url + path, timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise TimeoutError(f"{path} not 200: {self.log.read_text()[-3000:]}")

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._process.terminate()
        return self._process.wait(20)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait(10)

    def sign_in(self, email: str) -> httpx.Client:
        """A client that carries the user's token, and gets a new one before it expires."""
        url = f"{self.url}/api/v1"
        return httpx.Client(base_url=url, auth=SignedIn(url, email), timeout=10)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None
