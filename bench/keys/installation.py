"""The whole stack on loopback in a fresh folder, put together as `make up` does it, its parts in our hands: killed, restarted, added."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import psycopg

from bench.build import BUILD
from bench.peers.system import Unfit, free_port
from devstack.servers.embedded import EmbeddedServer
from devstack.servers.process import Process
from devstack.stack import http
from devstack.stack.assembly import Assembly
from devstack.stack.settings import CHECKOUT, Settings, Upstream
from devstack.stack.state import State
from devstack.stack.terminal import Terminal

READY_SECONDS = 600.0
"""A gateway with a million keys may take its time; nothing here is judged by a deadline."""


@dataclass
class Gateway:
    """One gateway process with a state folder of its own."""

    process: Process
    port: int
    folder: Path

    @property
    def pid(self) -> int:
        """While it runs."""
        return self.process.pid or 0

    def wait_for(self, key: str, status: int = 200) -> None:
        """Until it answers so to a key."""
        wait(lambda: http.request(self.port, "/v1/models", bearer=key)[0] == status, self.process.name)

    @property
    def view_bytes(self) -> int:
        """Size of its last-known-good file, 0 before the first."""
        return sum(file.stat().st_size for file in self.folder.rglob("view"))


class Installation:
    """Made by `running`."""

    def __init__(self, settings: Settings, state: State) -> None:
        self._state = state
        self._secrets = state.secrets()
        self._assembly = Assembly(settings, state, Terminal())
        self._added: list[Gateway] = []
        self.accounts_url = f"http://127.0.0.1:{settings.accounts_port}"
        self._settings = settings

    def start(self) -> None:
        """All of it."""
        self._assembly.start()

    def stop(self) -> None:
        """All of it."""
        for gateway in self._added:
            gateway.process.kill()
        self._assembly.parts.stop()

    # ---- parts -------------------------------------------------------------------------------------------------------
    @property
    def nats(self) -> EmbeddedServer:
        """The bus."""
        found = self._assembly.parts.find("nats")
        assert isinstance(found, EmbeddedServer)
        return found

    def process(self, name: str) -> Process:
        """A program of ours."""
        found = self._assembly.parts.find(name)
        assert isinstance(found, Process)
        return found

    @property
    def gateways(self) -> list[Gateway]:
        """Those that the stack was started with."""
        named = zip(self._settings.gateway_names(), self._settings.gateway_ports, strict=True)
        return [Gateway(self.process(name), port, self._state.folder / name) for name, port in named]

    def add_gateway(self, name: str) -> Gateway:
        """One more, not started, that has never run before."""
        first, port, folder = self.gateways[0].process, free_port(), self._state.folder / name
        folder.mkdir(mode=0o700)
        env = {**(first.env or {}), "GATEWAY_PORT": str(port), "GATEWAY_STATE_DIR": str(folder)}
        process = Process(name, first.argv, self._state.prepare_log(name), env=env, cwd=CHECKOUT)
        self._added.append(Gateway(process, port, folder))
        return self._added[-1]

    def wait_accounts(self) -> None:
        """Until accounts is ready."""
        wait(partial(http.is_ready, self._settings.accounts_port), "accounts")

    # ---- what is in it -----------------------------------------------------------------------------------------------
    @property
    def peppers(self) -> str:
        """As the services are told them."""
        return self._secrets["key_peppers"]

    @property
    def demo_key(self) -> str:
        """A key that works from the start."""
        return self._assembly.demo.api_key if self._assembly.demo else ""

    def database(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection to the tables of accounts, as that service."""
        server = self._assembly.parts.find("postgres")
        assert isinstance(server, EmbeddedServer)
        password = self._secrets["postgres_accounts"]
        return psycopg.connect(host=server.host, port=server.port, user="accounts", password=password, dbname="codexflow")

    def sign_in(self) -> dict[str, str]:
        """Headers of the demo user, who may do everything."""
        assert self._assembly.demo is not None
        who = {"email": self._assembly.demo.user_email, "password": self._assembly.demo.user_password}
        answer = httpx.post(f"{self.accounts_url}/api/v1/auth/login", json=who, timeout=30, trust_env=False)
        return {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}

    # ---- jobs --------------------------------------------------------------------------------------------------------
    def widen_bus(self) -> None:
        """Give the streams the sizes of production: a laptop's are too small for a million keys."""
        nats = self.nats
        own = {"BUS_NATS_URL": f"nats://{nats.host}:{nats.port}", "BUS_NATS_PASSWORD": self._secrets["nats_provisioner"]}
        _run([sys.executable, "-m", "common.bus"], {**os.environ, **own})

    def republish(self) -> float:
        """Have the whole directory published from the tables; seconds until the manifest is there, up to one of them waiting."""
        began = time.monotonic()
        with self.database() as database:
            database.autocommit = True
            # As `python -m accounts republish` does it, without the time that a process takes to start.
            database.execute("UPDATE directory_state SET republish_asked = republish_asked + 1")
            sql = "SELECT republish_done >= republish_asked FROM directory_state"
            wait(lambda: database.execute(sql).fetchone() == (True,), "the republish")
        return time.monotonic() - began


@contextlib.contextmanager
def running(name: str, *, gateways: int, upstream_url: str = "http://127.0.0.1:9/v1") -> Iterator[Installation]:
    """A stack that has just been started; gone, with its data, when the block ends."""
    folder = BUILD / name
    shutil.rmtree(folder, ignore_errors=True)
    BUILD.mkdir(exist_ok=True)
    os.environ["ACCOUNTS_REQUESTS_PER_MINUTE"] = "1000000"
    state = State(folder)
    state.open()
    settings = Settings(
        state=folder,
        gateway_ports=tuple(free_port() for _ in range(gateways)),
        accounts_port=free_port(),
        usage_port=free_port(),
        upstream=Upstream("openai", upstream_url, "bench"),
        start_litellm=False,
    )
    installation = Installation(settings, state)
    try:
        installation.start()
        yield installation
    finally:
        installation.stop()
        state.close()
        shutil.rmtree(folder, ignore_errors=True)


def wait(check: Callable[[], bool], what: str) -> None:
    """Poll until it is so. Raises Unfit after ten minutes."""
    ends = time.monotonic() + READY_SECONDS
    while not check():
        if time.monotonic() > ends:
            raise Unfit(f"waited {READY_SECONDS:.0f} s in vain for {what}")
        time.sleep(0.005)


def _run(command: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(command, env=env, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise Unfit(f"{command[2]} failed: {done.stderr[-600:]}")
