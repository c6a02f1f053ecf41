"""A certified OpenID provider as a process, with people that the tests make."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from devstack.servers.ports import free_port
from tests.checkout import ROOT

PROGRAM = ROOT / "tests" / "oidc" / "provider.mjs"
READY_SECONDS = 60.0


def require_node() -> str:
    """The path of Node.js; without it the test is skipped."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node.js here to run the OpenID provider")
    if not (PROGRAM.parent / "node_modules" / "oidc-provider").is_dir():
        pytest.fail("the OpenID provider is not installed: make tests/oidc/node_modules/.ready")
    return node


class Provider:
    """`node provider.mjs` on a free port; killed and started again it has the same issuer and people."""

    def __init__(self, folder: Path, name: str, *, authentication: str, signing: str, claims_in_id_token: bool) -> None:
        self.name = name
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.secret = f"s3cret of {name}: &=/+%"
        self._folder = folder / name
        self._folder.mkdir()
        self._people = self._folder / "people.json"
        self._people.write_text("{}")
        self._process: subprocess.Popen[bytes] | None = None
        self.settings: dict[str, Any] = {
            "port": self.port,
            "client": {"id": "codex flow", "secret": self.secret, "redirects": []},
            "people": str(self._people),
            "authentication": authentication,
            "signing": signing,
            "claimsInIdToken": claims_in_id_token,
            "keys": str(self._folder),
            "kids": ["first"],
        }

    def config(self, **more: Any) -> dict[str, Any]:
        """As ACCOUNTS_OIDC_PROVIDERS names it."""
        scopes = ["openid", "email", "profile", "groups"]
        return {"name": self.name, "issuer": self.issuer, "client_id": "codex flow", "scopes": scopes, **more}

    def start(self, **changes: Any) -> Self:
        """Start and wait until it answers; the changes are to its settings."""
        self.settings |= changes
        settings = self._folder / "settings.json"
        settings.write_text(json.dumps(self.settings))
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([require_node(), str(PROGRAM), str(settings)], stdout=log, stderr=log)
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, (self._folder / "log").read_text()[-3000:]
            try:
                if httpx.get(f"{self.issuer}/jwks", timeout=5).status_code == 200:
                    return self
            except httpx.TransportError:
                time.sleep(0.05)
        raise TimeoutError((self._folder / "log").read_text()[-3000:])

    def kill(self) -> None:
        """kill -9; whatever it knew of sign-ins is gone."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(20)

    def put_person(self, subject: str, **claims: Any) -> None:
        """Make a person, or change what the provider says of one; takes effect at the next sign-in."""
        people = json.loads(self._people.read_text())
        people[subject] = claims
        fresh = self._people.with_suffix(".new")
        fresh.write_text(json.dumps(people))
        fresh.rename(self._people)
