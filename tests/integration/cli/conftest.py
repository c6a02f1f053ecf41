"""One accounts service for all tests of the command line, and terminals that know it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devstack.servers.postgres import PostgresServer
from tests.integration.accounts.process import AccountsProcess, environment, run, seed
from tests.integration.cli.terminal import Terminal
from tests.servers import fixtures


@dataclass(frozen=True)
class Service:
    """A running service with one user, who has an organization `demo` and a project `chat`."""

    url: str
    env: dict[str, str]
    seeded: dict[str, Any]


@contextmanager
def running(
    postgres_server: PostgresServer, passwords: dict[str, str], folder: Path, **more: str
) -> Iterator[tuple[AccountsProcess, dict[str, str]]]:
    """A service on an empty database and a bus of its own, and the environment of its other commands."""
    database = fixtures.make_database(postgres_server, passwords)
    with fixtures.make_nats(folder / "nats") as server:
        bus = fixtures.Bus(server)
        bus.provision()
        env = environment(database, bus, **more)
        assert run(env, "migrate").returncode == 0
        process = AccountsProcess(env, folder).start()
        yield process, env
        assert process.stop() == 0, "SIGTERM ends in a clean exit"
    fixtures.drop_database(database)


@pytest.fixture(scope="session")
def service(
    postgres_server: PostgresServer, database_passwords: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One that is not empty; don't kill it."""
    with running(postgres_server, database_passwords, tmp_path_factory.mktemp("service")) as (process, env):
        yield Service(process.url, env, seed(env, "ada@example.com"))


@pytest.fixture(scope="session")
def ada(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """The terminal of the owner of `demo`, signed in."""
    return Terminal(tmp_path_factory.mktemp("ada"), service.url).sign_in("ada@example.com")


@pytest.fixture
def make_terminal(service: Service, tmp_path: Path) -> Callable[..., Terminal]:
    """Terminals of the test's own, not signed in."""
    count = iter(range(100))

    def make(**more: str) -> Terminal:
        return Terminal(tmp_path / f"home-{next(count)}", service.url, **more)

    return make


@dataclass(frozen=True)
class Installation:
    """A service that began empty, and the terminal of its first user, who owns the organization `acme`."""

    url: str
    first: Terminal
    homes: Path

    def terminal(self, name: str, **more: str) -> Terminal:
        """Somebody's, not signed in."""
        return Terminal(self.homes / name, self.url, **more)

    def hire(self, name: str, role: str = "developer") -> Terminal:
        """Somebody new, who was invited with the command line and has come by it; signed in."""
        link = self.first.run("invitations", "create", f"{name}@example.com", "--role", role).last_line
        terminal = self.terminal(name)
        terminal.run("invitations", "accept", "--name", name.title(), "--stdin", stdin=f"{link}\npassword\n")
        return terminal.sign_in(f"{name}@example.com")


SETUP_TOKEN = "the-setup-token-of-these-tests"
FIRST = "grace@example.com"


@pytest.fixture(scope="session")
def installation(
    postgres_server: PostgresServer, database_passwords: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Bootstrapped with the command line; don't suspend its first user."""
    folder = tmp_path_factory.mktemp("installation")
    with running(postgres_server, database_passwords, folder, ACCOUNTS_BOOTSTRAP_TOKEN=SETUP_TOKEN) as (process, _):
        first = Terminal(folder / "grace", process.url)
        words = ("bootstrap", "--email", FIRST, "--name", "Grace", "--organization", "Acme", "--stdin")
        first.run(*words, stdin=f"{SETUP_TOKEN}\npassword\n")
        yield Installation(process.url, first.sign_in(FIRST), folder)
