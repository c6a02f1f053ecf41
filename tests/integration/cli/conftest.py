"""One accounts service for all tests of the command line, and terminals that know it."""

from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="session")
def service(
    postgres_server: PostgresServer, database_passwords: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """On a database and a bus of its own; don't kill any of them."""
    folder = tmp_path_factory.mktemp("service")
    database = fixtures.make_database(postgres_server, database_passwords)
    with fixtures.make_nats(folder / "nats") as server:
        bus = fixtures.Bus(server)
        bus.provision()
        env = environment(database, bus)
        assert run(env, "migrate").returncode == 0
        seeded = seed(env, "ada@example.com")
        process = AccountsProcess(env, folder).start()
        yield Service(process.url, env, seeded)
        assert process.stop() == 0, "SIGTERM ends in a clean exit"
    fixtures.drop_database(database)


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
