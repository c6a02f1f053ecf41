"""Makers of servers for one session or one test, and what tests need of them."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.bus import connection, provisioning
from common.bus.server_config import ADMINISTRATOR, PERMISSIONS
from devstack.servers.nats import NatsServer
from devstack.servers.postgres import PostgresServer
from devstack.servers.server import Server
from devstack.servers.valkey import ValkeyServer
from tests.servers.choice import choose

# The reserved sizes of the streams, so small that dozens of servers fit on a disk beside each other.
MAX_BYTES_SCALE = 0.01


@dataclass(frozen=True)
class Database:
    """A fresh database with the roles and schemas of the services."""

    server: PostgresServer
    name: str
    passwords: dict[str, str]

    def url(self, role: str) -> str:
        """Without the password, as the services are told it."""
        return self.server.url(role, self.name)

    def conninfo(self, role: str) -> str:
        """With the password, for psycopg.connect."""
        return f"host={self.server.host} port={self.server.port} user={role} password={self.passwords[role]} dbname={self.name}"

    def env(self, role: str) -> dict[str, str]:
        """The two environment variables of that role; `accounts_owner` is for migrations alone."""
        prefix = role.upper()
        return {f"{prefix}_DATABASE_URL": self.url(role), f"{prefix}_DATABASE_PASSWORD": self.passwords[role]}


@dataclass(frozen=True)
class Bus:
    """A NATS server with streams, buckets and consumers in place."""

    server: NatsServer

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def passwords(self) -> dict[str, str]:
        return self.server.passwords

    def env(self, service: str) -> dict[str, str]:
        """The two environment variables of the service of that name."""
        return {f"{service.upper()}_NATS_URL": self.url, f"{service.upper()}_NATS_PASSWORD": self.passwords[service]}

    async def connect(self, service: str):
        """A connection as that service (or `provisioner`); the test closes it."""
        return await connection.connect(url=self.url, service=service, password=self.passwords[service], name=f"test {service}")

    def provision(self) -> list[str]:
        """Run the provisioning job; may be repeated."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(self._provision())).result(90)

    async def _provision(self) -> list[str]:
        client = await self.connect(ADMINISTRATOR)
        try:
            return await provisioning.provision(client.jetstream(), max_bytes_scale=MAX_BYTES_SCALE)
        finally:
            await client.close()


def make_nats(folder: Path) -> NatsServer:
    """A server that has not been started."""
    passwords = {user: secrets.token_hex(8) for user in (ADMINISTRATOR, *PERMISSIONS)}
    if choose().containers:
        from tests.servers.containers import NatsContainer

        return NatsContainer(folder, passwords=passwords)
    return NatsServer(folder, passwords=passwords)


def make_postgres(folder: Path) -> PostgresServer:
    """A server that has not been started; survives kill -9, not a power cut."""
    if choose().containers:
        from tests.servers.containers import PostgresContainer

        return PostgresContainer(folder, password=secrets.token_hex(8), durable=False)
    return PostgresServer(folder, password=secrets.token_hex(8), durable=False)


def make_valkey(folder: Path) -> ValkeyServer:
    """A server that has not been started."""
    if choose().containers:
        from tests.servers.containers import ValkeyContainer

        return ValkeyContainer(folder, password=secrets.token_hex(8))
    return ValkeyServer(folder, password=secrets.token_hex(8))


def make_database(server: PostgresServer, passwords: dict[str, str]) -> Database:
    """A database of its own on a running server. The roles are the server's: one set of passwords for all its databases."""
    name = f"test_{secrets.token_hex(6)}"
    server.create_database(name, passwords=passwords)
    return Database(server, name, passwords)


def fill(database: Database, template: Database) -> None:
    """Put a copy of another database of the same server in its place. Nobody may be connected to the other one."""
    drop_database(database)
    database.server.run_sql(f'CREATE DATABASE "{database.name}" TEMPLATE "{template.name}"')
    database.server.create_database(database.name, passwords=database.passwords)  # what a database allows is not copied with it


def drop_database(database: Database) -> None:
    """Whoever is connected is thrown out."""
    database.server.run_sql(f'DROP DATABASE "{database.name}" WITH (FORCE)')


@contextmanager
def factory(make: Callable[[Path], Server], root: Path) -> Iterator[Callable[[], Server]]:
    """Yields a function that starts one more server; all are ended on leaving."""
    with ExitStack() as stack:
        count = iter(range(1_000))
        yield lambda: stack.enter_context(make(root / str(next(count))))
