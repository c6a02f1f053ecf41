"""The usage service as a real process beside real servers, and a gateway's side of the conversation."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from devstack.servers.ports import free_port
from devstack.servers.postgres import PostgresServer
from tests.integration.usage.gateway_side import GatewaySide
from tests.integration.usage.signer import Signer
from tests.servers.fixtures import Bus, Database, drop_database, fill, make_database


def run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m usage …` to its end."""
    argv = [sys.executable, "-m", "usage", *arguments]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120)


def migrate(database: Database) -> None:
    """The migration job of usage."""
    done = run({**database.env("usage"), "PATH": "/usr/bin:/bin"}, "migrate")
    assert done.returncode == 0, done.stderr


class UsageProcess:
    """`python -m usage`, with what it needs in the environment."""

    def __init__(self, env: dict[str, str], log: Path) -> None:
        self.port = free_port()
        self.env = {**env, "USAGE_PORT": str(self.port), "PATH": "/usr/bin:/bin"}
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command that ends by itself."""
        return run(self.env, *arguments)

    def start(self, *, ready: bool = True) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "usage", "serve"], env=self.env, stdout=log, stderr=log)
        if ready:
            self.wait_ready()

    def wait_ready(self, seconds: float = 90) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process is not None
            assert self.process.poll() is None, self.tail()
            if self.status("/readyz") == 200:
                return
            time.sleep(0.05)
        raise AssertionError(f"not ready\n{self.tail()}")

    def status(self, path: str) -> int:
        """The status of a GET, 0 when nobody answers."""
        try:
            return httpx.get(self.url + path, timeout=20, trust_env=False).status_code
        except httpx.TransportError:
            return 0

    def tail(self) -> str:
        return self.log.read_text()[-4000:]

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Books:
    """The database as superuser of the truth: plain reads with the service's own role."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo

    def query(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.conninfo, connect_timeout=20) as connection:
            cursor = connection.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    def one(self, sql: str, *values: object) -> object:
        return self.query(sql, *values)[0][0]


async def eventually(true: Callable[[], object] | Callable[[], Awaitable[object]], seconds: float = 60) -> None:
    """Wait until something holds; the time is a bound with slack, not a measurement."""
    until = time.monotonic() + seconds
    while True:
        try:
            found = true()
            if await found if asyncio.iscoroutine(found) else found:
                return
        except (psycopg.OperationalError, httpx.TransportError):
            pass
        assert time.monotonic() < until, "did not happen in time"
        await asyncio.sleep(0.05)


@pytest.fixture
def signer() -> Iterator[Signer]:
    """The key set and the tokens of accounts, over real HTTP."""
    with Signer() as made:
        yield made


@contextmanager
def process_on(database: Database, bus: Bus, signer: Signer, log: Path) -> Iterator[UsageProcess]:
    """A service that has not been started, on a migrated database; killed on leaving."""
    process = UsageProcess({**database.env("usage"), **bus.env("usage"), "USAGE_JWKS_URL": signer.url}, log)
    try:
        yield process
    finally:
        process.kill()


@pytest.fixture(scope="session")
def template(postgres_server: PostgresServer, database_passwords: dict[str, str]) -> Iterator[Database]:
    """A migrated database that nobody connects to, to be copied."""
    made = make_database(postgres_server, database_passwords)
    migrate(made)
    yield made
    drop_database(made)


@pytest.fixture
def migrated(template: Database, database: Database) -> Database:
    """The test's database, migrated."""
    fill(database, template)
    return database


@pytest.fixture
def usage(migrated: Database, bus: Bus, signer: Signer, tmp_path: Path) -> Iterator[UsageProcess]:
    """The service, ready."""
    with process_on(migrated, bus, signer, tmp_path / "usage.log") as process:
        process.start()
        yield process


@pytest.fixture
def books(database: Database) -> Books:
    """What has been written."""
    return Books(database.conninfo("usage"))


@pytest.fixture
async def gateway(bus: Bus) -> AsyncIterator[GatewaySide]:
    """A gateway's and accounts' side of the bus."""
    side = await GatewaySide.connect(bus)
    yield side
    await side.close()
