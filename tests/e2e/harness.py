"""The whole path as separate processes that a test may kill, stop and start again, one by one; and the books to compare afterwards."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, Self

import httpx

from devstack.servers.ports import free_port
from devstack.servers.postgres import ROLES
from devstack.servers.process import Process
from devstack.stack.http import is_ready
from devstack.stack.settings import CHECKOUT
from tests.e2e.running_stack import Answer, call, eventually, manage
from tests.servers import fixtures

EMAIL, PASSWORD = "owner@example.com", "password"
_OURS = ("GATEWAY_", "ACCOUNTS_", "USAGE_", "BUS_", "UPSTREAM_", "OPENAI_", "LITELLM")
GATEWAY_DEFAULTS = {
    "MAX_BODY_BYTES": "300000",
    "GRANT_WAIT_MS": "20000",
    "DRAIN_SECONDS": "2",
    "UPSTREAM_CONNECT_SECONDS": "10",
    "UPSTREAM_FIRST_BYTE_SECONDS": "8",
    "UPSTREAM_IDLE_SECONDS": "20",
    "BACKOFF_MS": "50",
}
"""Patience that a stalled machine does not exhaust; tests of an upstream that takes too long start gateways with less."""

READY_SECONDS = 90.0
STOP_SECONDS = 60.0
ROUTES = """
deep_from_characters = 8000
[upstreams.simulated]
base_url = "http://127.0.0.1:{provider}/v1"
[upstreams.absent]
base_url = "http://127.0.0.1:{nobody}/v1"
[[tiers.fast]]
upstream = "simulated"
model = "sim-fast-1"
[[tiers.fast]]
upstream = "simulated"
model = "sim-fast-2"
[[tiers.deep]]
upstream = "simulated"
model = "sim-fault-429.60"
price = "sim-deep-1"
[[tiers.deep]]
upstream = "simulated"
model = "sim-deep-1"
[[models]]
name = "sim-fast-1"
upstream = "simulated"
[[models]]
name = "unpriced"
upstream = "simulated"
model = "sim-without-price"
[[models]]
name = "absent"
upstream = "absent"
price = "sim-fast-1"
[[models]]
name = "sim-*"
upstream = "simulated"
pattern = true
price = "sim-fast-1"
"""
"""Of the deep tier one model always fails, so that falling back is part of every deep request or of the next."""


@dataclass(frozen=True)
class Project:
    """A project and a key of its own."""

    id: str
    key: str
    key_id: str


class Gateway:
    """One gateway process with a state folder of its own."""

    def __init__(self, name: str, env: dict[str, str], folder: Path, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.state = folder / name
        self.process = Process(name, [sys.executable, "-m", "gateway", "serve"], folder / f"{name}.log", env=env, cwd=CHECKOUT)

    def start(self, *, ready: bool = True) -> Self:
        """Start; wait until it is ready, or only alive."""
        self.process.start()
        self.process.wait_ready(lambda: is_ready(self.port, "/readyz" if ready else "/healthz"), timeout=READY_SECONDS)
        return self

    def stop(self) -> int | None:
        """SIGTERM, and wait; its exit code."""
        return self.process.stop(timeout=STOP_SECONDS)

    def dependencies(self) -> dict[str, str]:
        """What /readyz says of each dependency."""
        answer = call("GET", f"{self.url}/readyz")
        return {"status": answer.json["status"], **{name: it["state"] for name, it in answer.json["dependencies"].items()}}

    def metric(self, name: str, *, absent: float | None = None) -> float:
        """The value of a metric, named with its labels as it is exposed; `absent` while it is not."""
        text = call("GET", f"{self.url}/metrics").body.decode()
        found = (line.split()[-1] for line in text.splitlines() if line.startswith(f"{name} "))
        value = next(found, absent)
        assert value is not None, f"there is no metric {name}"
        return float(value)

    def chat(
        self, project: Project | str, content: str = "Hello!", *, headers: dict[str, str] | None = None, **fields: Any
    ) -> Answer:
        """A chat completion; `fields` go into the body."""
        key = project if isinstance(project, str) else project.key
        body = {"model": "auto", "messages": [{"role": "user", "content": content}], **fields}
        return call("POST", f"{self.url}/v1/chat/completions", body, bearer=key, **(headers or {}))

    @contextmanager
    def stream(self, project: Project, content: str = "Hello!", **fields: Any) -> Iterator[httpx.Response]:
        """A streamed chat completion; leaving the block hangs up."""
        body = {"model": "auto", "messages": [{"role": "user", "content": content}], "stream": True, **fields}
        headers = {"authorization": f"Bearer {project.key}"}
        with (
            httpx.Client(timeout=60) as client,
            client.stream("POST", f"{self.url}/v1/chat/completions", json=body, headers=headers) as response,
        ):
            yield response


class World:
    """NATS, Postgres, Valkey, the provider, accounts, usage and gateways. A context manager: started on entry."""

    def __init__(self, folder: Path, *, gateways: int = 1, **gateway_settings: str) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._gateway_settings = {**GATEWAY_DEFAULTS, **gateway_settings}
        self._wanted = gateways
        self._peppers, self._view_secret = f"1:{secrets.token_hex(32)}", secrets.token_hex(32)
        self.nats = fixtures.make_nats(folder / "nats")
        self.postgres = fixtures.make_postgres(folder / "postgres")
        self.valkey = fixtures.make_valkey(folder / "valkey")
        self.gateways: list[Gateway] = []
        self._numbers = count(1)
        self.provider_port, self.accounts_port, self.usage_port = free_port(), free_port(), free_port()
        self.routes = folder / "routes.toml"
        self.routes.write_text(ROUTES.format(provider=self.provider_port, nobody=free_port()))
        provider = ["-m", "devstack.provider", "--port", str(self.provider_port), "--ledger", str(folder / "provider.jsonl")]
        self.provider = self._process("provider", provider, {})
        self._token, self._renew_at = "", 0.0

    # ---- starting and ending -----------------------------------------------------------------------------------------
    def __enter__(self) -> Self:
        with ExitStack() as started:
            self._start(started)
            self._stack = started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, started: ExitStack) -> None:
        with ThreadPoolExecutor() as threads:
            for server in threads.map(lambda server: server.start(), (self.nats, self.postgres, self.valkey)):
                started.callback(server.stop)
        bus = fixtures.Bus(self.nats)
        bus.provision()
        passwords = {role: secrets.token_hex(8) for role in ROLES}
        self.postgres.create_database(passwords=passwords)
        database = fixtures.Database(self.postgres, "codexflow", passwords)
        accounts = {
            **database.env("accounts"),
            **bus.env("accounts"),
            "ACCOUNTS_PORT": str(self.accounts_port),
            "ACCOUNTS_KEY_PEPPERS": self._peppers,
            "ACCOUNTS_SIGNING_KEY": secrets.token_hex(32),
            "ACCOUNTS_REQUESTS_PER_MINUTE": "100000",
        }
        usage = {
            **database.env("usage"),
            **bus.env("usage"),
            "USAGE_PORT": str(self.usage_port),
            "USAGE_JWKS_URL": f"http://127.0.0.1:{self.accounts_port}/.well-known/jwks.json",
        }
        with ThreadPoolExecutor() as threads:
            list(
                threads.map(
                    self._run,
                    ("accounts", "usage"),
                    (["migrate"], ["migrate"]),
                    (accounts | database.env("accounts_owner"), usage),
                )
            )
        self.accounts = self._process("accounts", ["-m", "accounts", "serve"], accounts)
        self.usage = self._process("usage", ["-m", "usage", "serve"], usage)
        self._usage_env = usage
        for part in (self.provider, self.accounts, self.usage):
            part.start()
            started.callback(part.stop, timeout=STOP_SECONDS)
        for _ in range(self._wanted):
            self.add_gateway(started, start=False).process.start()
        self.wait_ready()
        seeded = self._run("accounts", ["seed", *self._seed()], accounts)
        self.organization_id = json.loads(seeded)["organization_id"]

    @property
    def _bearer(self) -> str:
        """The demo user's access token; a world of the whole run outlives its first one."""
        if time.monotonic() > self._renew_at:
            login = manage("POST", f"{self.accounts_url}/api/v1/auth/login", {"email": EMAIL, "password": PASSWORD})
            self._token = login.json["access_token"]
            self._renew_at = time.monotonic() + login.json["expires_in"] / 2
        return self._token

    @staticmethod
    def _seed() -> list[str]:
        return ["--email", EMAIL, "--password", PASSWORD, "--organization", "Acme", "--project", "First"]

    def wait_ready(self) -> None:
        """Until everything is ready."""
        self.provider.wait_ready(lambda: is_ready(self.provider_port, "/healthz"), timeout=READY_SECONDS)
        for part, port in ((self.accounts, self.accounts_port), (self.usage, self.usage_port)):
            part.wait_ready(lambda port=port: is_ready(port), timeout=READY_SECONDS)
        for gateway in self.gateways:
            gateway.process.wait_ready(lambda port=gateway.port: is_ready(port), timeout=READY_SECONDS)

    def add_gateway(self, ended: ExitStack | None = None, *, start: bool = True, **settings: str) -> Gateway:
        """One more gateway, stopped at the end; `settings` without their prefix."""
        name, port = f"gateway-{next(self._numbers)}", free_port()
        own = {
            "PORT": str(port),
            "NATS_URL": self.nats.url,
            "NATS_PASSWORD": self.nats.passwords["gateway"],
            "KEY_PEPPERS": self._peppers,
            "VIEW_SECRET": self._view_secret,
            "STATE_DIR": str(self.folder / name),
            "ROUTES_FILE": str(self.routes),
            "CACHE_URL": self.valkey.url,
            "CACHE_PASSWORD": self.valkey.password,
            **self._gateway_settings,
            **settings,
        }
        env = _environment({f"GATEWAY_{variable}": value for variable, value in own.items()})
        gateway = Gateway(name, env, self.folder, port)
        self.gateways.append(gateway)
        (ended or self._stack).callback(gateway.stop)
        return gateway.start() if start else gateway

    def remove_gateway(self, gateway: Gateway) -> int | None:
        """Stop it and forget it; its exit code."""
        self.gateways.remove(gateway)
        return gateway.stop()

    def _process(self, name: str, arguments: list[str], env: dict[str, str]) -> Process:
        return Process(name, [sys.executable, *arguments], self.folder / f"{name}.log", env=_environment(env), cwd=CHECKOUT)

    def _run(self, name: str, arguments: list[str], env: dict[str, str]) -> str:
        done = self._ran(name, arguments, env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @staticmethod
    def _ran(name: str, arguments: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", name, *arguments]
        return subprocess.run(argv, env=_environment(env), cwd=CHECKOUT, capture_output=True, text=True, timeout=170, check=False)

    def usage_command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One of usage's commands, as its operator runs it."""
        return self._ran("usage", list(arguments), self._usage_env)

    # ---- accounts ----------------------------------------------------------------------------------------------------
    @property
    def accounts_url(self) -> str:
        return f"http://127.0.0.1:{self.accounts_port}"

    @cached_property
    def user_id(self) -> str:
        """The owner."""
        return str(self.manage("GET", "/auth/me")["user_id"])

    @property
    def gateway(self) -> Gateway:
        """The first."""
        return self.gateways[0]

    def manage(self, method: str, path: str, body: object = None) -> Any:
        """Ask accounts as the owner."""
        answer = manage(method, f"{self.accounts_url}/api/v1{path}", body, bearer=self._bearer)
        assert answer.status < 300, (answer.status, answer.body)
        return answer.json

    def report(self, path: str) -> Any:
        """Ask usage as the owner."""
        answer = manage("GET", f"http://127.0.0.1:{self.usage_port}/api/v1{path}", bearer=self._bearer)
        assert answer.status == 200, (answer.status, answer.body)
        return answer.json

    def new_project(
        self, tokens: int | None = None, nanousd: int | None = None, *, organization: str = "", **fields: Any
    ) -> Project:
        """A project with monthly limits, its key known to all gateways."""
        limits = {"monthly_tokens": tokens, "monthly_cost_nanousd": nanousd, **fields.pop("limits", {})}
        path = f"/organizations/{organization or self.organization_id}/projects"
        project = self.manage("POST", path, {"name": "A project", "limits": limits, **fields})
        return self.new_key(project["id"])

    def new_key(self, project_id: str, **fields: Any) -> Project:
        """Another key of a project, known to all running gateways."""
        key = self.manage("POST", f"/projects/{project_id}/keys", {"name": "test", **fields})
        for gateway in self.gateways:
            if gateway.process.running:
                eventually(lambda url=gateway.url: call("GET", f"{url}/v1/models", bearer=key["key"]).status == 200)
        return Project(project_id, key["key"], key["id"])

    # ---- the truth and the books -------------------------------------------------------------------------------------
    def provider_rows(self, request_id: str) -> list[dict[str, Any]]:
        """What the provider saw of a request, by attempt."""
        return call("GET", f"http://127.0.0.1:{self.provider_port}/_sim/requests?request_id={request_id}").json["data"]

    def wait_upstream(self, count: int, model: str, *, outcome: str = "running") -> None:
        """Until so many requests for a model, by the provider's name for it, have reached the provider and come so far."""

        def reached() -> int:
            rows = call("GET", f"http://127.0.0.1:{self.provider_port}/_sim/requests").json["data"]
            return sum(row["model"] == model and row["outcome"] == outcome for row in rows)

        eventually(lambda: reached() >= count)

    def booked(self, project: Project) -> list[dict[str, Any]]:
        """All rows of a project, oldest first."""
        sql = f"SELECT coalesce(json_agg(to_json(r) ORDER BY event_id), '[]') FROM usage.requests r WHERE project_id = '{project.id}'"  # noqa: S608 - our own ids
        return json.loads(self.postgres.run_sql(sql, database="codexflow"))

    def wait_booked(self, project: Project, rows: int) -> list[dict[str, Any]]:
        """The rows of a project once there are so many."""

        def enough() -> list[dict[str, Any]] | None:
            found = self.booked(project)
            return found if len(found) >= rows else None

        return eventually(enough) if rows else self.booked(project)

    def compare(self, project: Project, rows: int) -> dict[str, dict[str, Any]]:
        """Wait until so many requests of the project are booked, hold each attempt against the provider; rows by request id."""
        booked = self.wait_booked(project, rows)
        assert len(booked) == rows
        for row in booked:
            seen = {call["attempt"]: call for call in self.provider_rows(row["event_id"])}
            for attempt in row["attempts"]:
                _hold_against(attempt, seen.pop(attempt["number"], None), row)
            assert not seen, f"the provider saw what is not booked: {seen}"
        self._check_sums(project, booked)
        return {row["event_id"]: row for row in booked}

    def _check_sums(self, project: Project, booked: list[dict[str, Any]]) -> None:
        sql = f"SELECT length(period), spent_tokens, spent_nanousd FROM usage.ledger WHERE scope_id = '{project.id}'"  # noqa: S608 - our own ids
        lines = [tuple(map(int, line.split("|"))) for line in self.postgres.run_sql(sql, database="codexflow").split()]
        spent = (
            sum(row["prompt_tokens"] + row["completion_tokens"] for row in booked),
            sum(row["cost_nanousd"] for row in booked),
        )
        for length in (len("2026-11"), len("2026-11-24")):
            booked_in = [line for line in lines if line[0] == length]
            assert (sum(line[1] for line in booked_in), sum(line[2] for line in booked_in)) == spent


def _hold_against(attempt: dict[str, Any], seen: dict[str, Any] | None, row: dict[str, Any]) -> None:
    """One attempt of the ledger and what the provider counted of it: the law of exact and of flagged rows."""
    usage = attempt.get("usage") or {}
    booked = (usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))
    source = attempt.get("usage_source", "none")
    told = seen["reported"] if seen else None
    truth = (seen["prompt_tokens"], seen["generated"]) if seen else (0, 0)
    if source == "provider":
        assert told is not None, (attempt, seen)
        assert booked == (told["prompt_tokens"], told["completion_tokens"]), (attempt, seen)
    elif source == "estimated":
        if row["decision"].get("mode", "strict") == "strict":
            assert sum(booked) <= row["hold_tokens"], (attempt, row)
            assert truth[0] <= booked[0], (attempt, seen)
            assert truth[1] <= booked[1], (attempt, seen)
    else:
        assert truth == (0, 0), (attempt, seen)


def _environment(own: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, "PYTHONUNBUFFERED": "1", **own}


def together(count: int, ask: Any) -> list[Any]:
    """Ask that many times at once; the results."""
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(lambda _: ask(), range(count)))


def events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """The data events of a stream; `[DONE]` as {"done": True}."""
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield {"done": True} if line == "data: [DONE]" else json.loads(line[6:])
