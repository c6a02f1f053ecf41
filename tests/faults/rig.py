"""The whole system as `make up` starts it, except that any part can be killed: gateways that share their spool's root."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from common.bus import connection, provisioning
from common.bus.server_config import ADMINISTRATOR
from common.contracts.subjects import REQUESTS_STREAM
from devstack.servers.embedded import EmbeddedServer
from devstack.servers.ports import LOOPBACK, free_port
from devstack.servers.process import Process
from devstack.stack import demo, http
from devstack.stack.assembly import Assembly
from devstack.stack.environment import inherited
from devstack.stack.settings import Settings, Upstream
from devstack.stack.state import State
from devstack.stack.terminal import Terminal

READY_SECONDS = 90.0
STOP_SECONDS = 60.0
ACK_WAIT_SECONDS = 5
"""What a killed worker held comes again after this; production's 60 s would only make the tests longer."""

STALL_SECONDS = 3.0
SEGMENT_BYTES = 300_000
"""Nearly the least: segments are left and deleted all the time."""


@dataclass(frozen=True, slots=True)
class Project:
    """What clients use, with a key of it; None = no limit."""

    project_id: str
    name: str
    key: str
    monthly_tokens: int | None = None
    monthly_cost_nanousd: int | None = None
    daily_tokens: int | None = None


class Rig(Assembly):
    """`start`, then `kill` and `restart` parts by name: gateway, gateway-2, usage, accounts, nats, postgres, valkey, provider.

    Postgres syncs to the disk and NATS too, as in production. Always processes of ours, never containers: they are killed by pid.
    """

    def __init__(self, folder: Path, *, pace_ms: float = 4.0, gateways: int = 2) -> None:
        ports = _distinct_ports(gateways + 2)
        settings = Settings(
            state=folder,
            gateway_ports=tuple(ports[2:]),
            accounts_port=ports[0],
            usage_port=ports[1],
            upstream=Upstream("simulated", fast="sim-fast-1", deep="sim-deep-1"),
            start_litellm=False,
        )
        state = State(folder)
        state.open()
        super().__init__(settings, state, Terminal())
        self._pace_ms = pace_ms
        self._token = ""
        self.answered: set[str] = set()
        self.is_sound = True
        names = ("gateway", *(f"gateway-{number}" for number in range(2, gateways + 1)))
        self.gateways = dict(zip(names, settings.gateway_ports, strict=True))
        self.spool = folder / "gateways" / "spool"

    # -- what differs from `make up` ---------------------------------------------------------------------------------------
    def _start_gateway(self, name: str, port: int) -> None:
        root = self.state.folder / "gateways"
        root.mkdir(mode=0o700, exist_ok=True)
        own = {
            "GATEWAY_STATE_DIR": str(root),
            "GATEWAY_SPOOL_STALL_SECONDS": str(STALL_SECONDS),
            "GATEWAY_SPOOL_SEGMENT_BYTES": str(SEGMENT_BYTES),
            "GATEWAY_DRAIN_SECONDS": "5",
        }
        self._service(name, port, self._environments.gateway(name, port, None) | own, module="gateway")

    def _start_provider(self) -> None:
        port = self.ports["provider"]
        argv = [sys.executable, "-m", "devstack.provider", "--host", LOOPBACK, "--port", str(port)]
        argv += ["--pace-ms", str(self._pace_ms), "--ledger", str(self.state.folder / "provider.ledger")]
        self.parts.program("provider", argv, env=inherited(""), ready=partial(http.is_ready, port, "/healthz"))

    def _provision_bus(self) -> None:
        super()._provision_bus()
        asyncio.run(self._shorten_ack_wait())

    async def _shorten_ack_wait(self) -> None:
        consumer = provisioning.requests_consumer()
        consumer.ack_wait = ACK_WAIT_SECONDS
        async with self._administrator() as client:
            await client.jetstream().add_consumer(REQUESTS_STREAM, consumer)

    @asynccontextmanager
    async def _administrator(self) -> AsyncIterator[Client]:
        client = await connection.connect(
            url=self._nats.url, service=ADMINISTRATOR, password=self._secrets["nats_provisioner"], name="rig"
        )
        yield client
        await client.close()

    async def count_messages(self, stream: str) -> int:
        """How many messages lie in a stream now."""
        async with self._administrator() as client:
            return (await client.jetstream().stream_info(stream)).state.messages

    # -- faults -------------------------------------------------------------------------------------------------------------
    def kill(self, name: str) -> None:
        """SIGKILL; returns when it is gone. Nothing happens when it is gone already."""
        self._part(name).kill()

    def stop(self, name: str) -> int | None:
        """SIGTERM to a service; its exit code."""
        part = self._part(name)
        assert isinstance(part, Process)
        return part.stop(timeout=STOP_SECONDS)

    def send(self, name: str, number: signal.Signals) -> None:
        """A signal to its process."""
        if pid := self._part(name).pid:
            os.kill(pid, number)

    def restart(self, name: str) -> None:
        """Start a part that was killed, on the same port and data, and wait until it is ready. Raises StartFailed."""
        part = self._part(name)
        if isinstance(part, EmbeddedServer):
            part.start()
        else:
            part.start()
            part.wait_ready(partial(http.is_ready, self.port_of(name), self._ready_path(name)), timeout=READY_SECONDS)

    def wipe_nats(self) -> None:
        """The bus loses its disk: stopped, its store deleted, started, provisioned again."""
        self._nats.kill()
        shutil.rmtree(self._nats.folder / "jetstream")
        self._nats.start()
        self._provision_bus()

    def forget_directory(self) -> None:
        """Delete what gateways keep of the directory on their disk; those that start next know only what the bus tells them."""
        shutil.rmtree(self.spool.parent / "directory")

    def _part(self, name: str) -> Process | EmbeddedServer:
        return self.parts._started[name]

    def _ready_path(self, name: str) -> str:
        return "/healthz" if name == "provider" else "/readyz"

    # -- talking to it --------------------------------------------------------------------------------------------------------
    def port_of(self, name: str) -> int:
        """The port of a service."""
        return self._service_ports()[name]

    def ask_provider(self, path: str) -> Any:
        """The simulated provider's own count."""
        status, body = http.request(self.ports["provider"], path, timeout=60)
        assert status == 200, f"the provider answered {status} to {path}"
        return body

    def database(self) -> str:
        """For psycopg, as superuser: the oracle sees every schema."""
        server = self._postgres
        return f"host={server.host} port={server.port} user=postgres password={server.password} dbname=codexflow"

    def new_project(self, name: str, limits: Mapping[str, int]) -> Project:
        """A project of the demo organization's with a key that every gateway knows."""
        project = self.manage(f"/organizations/{self.organization_id}/projects", {"name": name, "limits": dict(limits)})
        key = self.manage(f"/projects/{project['id']}/keys", {"name": "load"})["key"]
        made = Project(project["id"], name, key, **limits)
        self.wait_for_key(key)
        return made

    @property
    def organization_id(self) -> str:
        """The demo organization."""
        assert self.demo is not None
        return self.demo.organization_id

    def wait_for_key(self, key: str) -> None:
        """Until every gateway accepts it."""
        for name, port in self.gateways.items():
            _eventually(lambda port=port: http.request(port, "/v1/models", bearer=key)[0] == 200, f"{name} knows the key")

    def manage(self, path: str, body: object) -> Any:
        """Make something by accounts' API, as the demo user; asked again while accounts cannot."""
        return self._ask_accounts("POST", path, body)

    def change(self, path: str, body: object) -> Any:
        """Change something by accounts' API, as the demo user; asked again while accounts cannot."""
        return self._ask_accounts("PATCH", path, body)

    @cached_property
    def user_id(self) -> str:
        """The demo user."""
        return str(self._ask_accounts("GET", "/auth/me", None)["user_id"])

    def _ask_accounts(self, method: str, path: str, body: object) -> Any:
        port, over = self.settings.accounts_port, time.monotonic() + 60
        while True:
            status, answer = http.request(port, f"/api/v1{path}", method=method, body=body, bearer=self._token, timeout=60)
            if status == 401:
                self._log_in()
            elif status not in (0, 503):  # it or its database does not answer in time
                break
            assert time.monotonic() < over, f"accounts answers {status} to {path}"
        assert status in (200, 201), (status, answer)
        return answer

    def _log_in(self) -> None:
        login = {"email": demo.EMAIL, "password": demo.PASSWORD}
        answer = http.request(self.settings.accounts_port, "/api/v1/auth/login", method="POST", body=login, timeout=60)[1]
        self._token = (answer or {}).get("access_token", "")


def _distinct_ports(count: int) -> list[int]:
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)


def _eventually(check: Any, what: str, *, seconds: float = 60.0) -> None:
    over = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < over, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)
