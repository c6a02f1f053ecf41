"""A stack put together: which parts there are, in which order they may start, and what `stack.json` says of them."""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from threading import Event
from typing import Any

from devstack.servers.embedded import write_private
from devstack.servers.nats import NatsServer
from devstack.servers.ports import LOOPBACK, is_free
from devstack.servers.postgres import ROLES, PostgresServer
from devstack.servers.process import StartFailed
from devstack.servers.valkey import ValkeyServer
from devstack.stack import demo, fingerprint, http, litellm, routes
from devstack.stack.environment import Environments, inherited
from devstack.stack.parts import Parts
from devstack.stack.refusal import Refused
from devstack.stack.settings import Settings
from devstack.stack.state import State
from devstack.stack.steps import Step, run
from devstack.stack.terminal import Terminal

KEY_TIMEOUT = 15.0
_SERVER_PORTS = ("nats", "postgres", "valkey", "provider", "litellm")


def require_free_ports(settings: Settings) -> None:
    """Raises Refused with the port and the variable that changes it; asked before anything starts."""
    for name, (port, variable) in settings.ports().items():
        if not is_free(port):
            raise Refused(f"Port {port} for {name} is taken by another program; stop that, or set {variable} to a free one.")


class Assembly:
    """Everything of one `make up`; built by the holder of the state's lock."""

    def __init__(self, settings: Settings, state: State, terminal: Terminal) -> None:
        self.cancel = Event()
        self.parts = Parts(state, terminal, self.cancel)
        self.settings = settings
        self.state = state
        secrets = state.secrets()
        public = {port for port, _ in settings.ports().values()}
        self.ports = state.server_ports(_SERVER_PORTS, avoid=public)
        passwords = {name.removeprefix("nats_"): value for name, value in secrets.items() if name.startswith("nats_")}
        self._secrets = secrets
        self._nats = NatsServer(
            state.folder / "nats", passwords=passwords, port=self.ports["nats"], log=state.prepare_log("nats")
        )
        self._postgres = PostgresServer(
            state.folder / "postgres",
            password=secrets["postgres_superuser"],
            port=self.ports["postgres"],
            log=state.prepare_log("postgres"),
        )
        self._valkey = ValkeyServer(
            state.folder / "valkey", password=secrets["valkey"], port=self.ports["valkey"], log=state.prepare_log("valkey")
        )
        self._environments = Environments(settings, state, self._nats, self._postgres, self._valkey)
        self.demo: demo.Demo | None = demo.remembered(state)
        self.first_seed = self.demo is None

    # -- starting -------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Start all and return when everything is ready. Raises StartFailed or Refused; then `stop` is the caller's duty."""
        text = routes.render(self.settings.upstream, self._upstream_url(), has_key=self._upstream_key() is not None)
        write_private(self.state.folder / "routes.toml", text)
        run(self._steps(), cancel=self.cancel)
        if self.first_seed:
            self._wait_for_key()
        self.state.write("stack.json", self.description())

    def _steps(self) -> dict[str, Step]:
        migrated = ("migrate accounts", "provision bus")
        steps = {
            "nats": Step(partial(self.parts.server, self._nats)),
            "postgres": Step(partial(self.parts.server, self._postgres)),
            "valkey": Step(partial(self.parts.server, self._valkey)),
            "roles": Step(partial(self._prepare, "postgres", self._create_roles), after=("postgres",)),
            "migrate accounts": Step(partial(self._prepare, "accounts", self._migrate_accounts), after=("roles",)),
            "migrate usage": Step(partial(self._prepare, "usage", self._migrate_usage), after=("roles",)),
            "provision bus": Step(partial(self._prepare, "bus", self._provision_bus), after=("nats",)),
            "accounts": Step(self._start_accounts, after=migrated),
            # usage needs the key set of accounts only when somebody asks for a report.
            "usage": Step(self._start_usage, after=("migrate usage", "provision bus")),
        }
        if self.settings.start_provider:
            steps["provider"] = Step(self._start_provider)
        if self.settings.start_litellm:
            steps["litellm"] = Step(self._start_litellm, after=("provider",))
        if self.first_seed:
            steps["seed"] = Step(self._seed, after=("accounts",))
        for name, port in zip(self.settings.gateway_names(), self.settings.gateway_ports, strict=True):
            steps[name] = Step(partial(self._start_gateway, name, port), after=("valkey", "provision bus"))
        return steps

    def _prepare(self, job: str, do: Callable[[], None]) -> None:
        """Run a preparing job unless its sources are what they were when it last succeeded on this state folder."""
        known: dict[str, str] = self.state.read(f"prepared-{job}.json") or {}
        wanted = {"sources": fingerprint.of(job)}
        if known != wanted:
            do()
            self.state.write(f"prepared-{job}.json", wanted)

    def _create_roles(self) -> None:
        passwords = {role: self._secrets[f"postgres_{role}"] for role in ROLES}
        self._postgres.create_database(passwords=passwords)

    def _migrate_accounts(self) -> None:
        self.parts.job("accounts-migrate", "accounts", "migrate", env=self._environments.accounts_migration())

    def _migrate_usage(self) -> None:
        self.parts.job("usage-migrate", "usage", "migrate", env=self._environments.usage())

    def _provision_bus(self) -> None:
        self.parts.job("bus", "common.bus", env=self._environments.bus())

    def _start_accounts(self) -> None:
        self._service("accounts", self.settings.accounts_port, self._environments.accounts())

    def _start_usage(self) -> None:
        self._service("usage", self.settings.usage_port, self._environments.usage())

    def _start_gateway(self, name: str, port: int) -> None:
        (self.state.folder / name).mkdir(mode=0o700, exist_ok=True)
        self._service(name, port, self._environments.gateway(name, port, self._upstream_key()), module="gateway")

    def _service(self, name: str, port: int, env: dict[str, str], *, module: str | None = None) -> None:
        argv = [sys.executable, "-m", module or name, "serve"]
        self.parts.program(name, argv, env=env, ready=partial(http.is_ready, port), note=_url(port))

    def _start_provider(self) -> None:
        port = self.ports["provider"]
        argv = [sys.executable, "-m", "devstack.provider", "--host", LOOPBACK, "--port", str(port)]
        if self.settings.start_litellm:
            argv += [part for model in litellm.UPSTREAM_MODELS for part in ("--alias", model)]
        ready = partial(http.is_ready, port, "/healthz")
        self.parts.program("provider", argv, env=inherited(""), ready=ready, note=_url(port))

    def _start_litellm(self) -> None:
        port = self.ports["litellm"]
        simulated = f"{_url(self.ports['provider'])}/v1" if self.settings.start_provider else None
        env = litellm.environment(self.settings, simulated, self._secrets["litellm_master_key"])
        ready = partial(http.is_ready, port, "/health/liveliness")
        self.parts.program("litellm", litellm.command(port), env=env, ready=ready, note=_url(port), timeout=litellm.READY_TIMEOUT)

    def _seed(self) -> None:
        printed = self.parts.job("seed", "accounts", "seed", *demo.ARGUMENTS, env=self._environments.accounts())
        self.demo = demo.keep(self.state, printed, self.settings.accounts_port)

    def _wait_for_key(self) -> None:
        """What is printed must work at once: until every gateway knows the fresh key."""
        key = self.demo.api_key if self.demo else ""
        over = time.monotonic() + KEY_TIMEOUT
        for name, port in zip(self.settings.gateway_names(), self.settings.gateway_ports, strict=True):
            while (status := http.request(port, "/v1/models", bearer=key)[0]) != 200:
                if time.monotonic() > over:
                    raise StartFailed(name, f"does not accept the fresh key (last answer: {status})", "")
                time.sleep(0.02)

    # -- what is known of it ----------------------------------------------------------------------------------------------
    def _upstream_url(self) -> str:
        if self.settings.upstream.base_url:
            return self.settings.upstream.base_url
        return f"{_url(self.ports['litellm' if self.settings.start_litellm else 'provider'])}/v1"

    def _upstream_key(self) -> str | None:
        return self._secrets["litellm_master_key"] if self.settings.start_litellm else self.settings.upstream.api_key

    def _service_ports(self) -> dict[str, int]:
        own = {name: port for name, (port, _) in self.settings.ports().items()}
        started = {"provider": self.settings.start_provider, "litellm": self.settings.start_litellm}
        return own | {name: self.ports[name] for name, is_started in started.items() if is_started}

    def description(self) -> dict[str, Any]:
        """For scripts; holds the demo key, so the file is private."""
        return {
            "gateway_url": _url(self.settings.gateway_ports[0]),
            "gateway_urls": [_url(port) for port in self.settings.gateway_ports],
            "accounts_url": _url(self.settings.accounts_port),
            "usage_url": _url(self.settings.usage_port),
            "provider_url": _url(self.ports["provider"]) if self.settings.start_provider else None,
            "upstream_url": self._upstream_url(),
            "upstream": self.settings.upstream.kind,
            **(asdict(self.demo) if self.demo else {}),
            "pids": self.parts.pids(),
            "ports": {name: self.ports[name] for name in ("nats", "postgres", "valkey")},
            "service_ports": self._service_ports(),
            "ready_seconds": self.parts.ready_seconds,
        }


def _url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"
