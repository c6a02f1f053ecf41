"""Real servers for all tests: one of each a session, fresh databases and buses a test, and makers for tests that kill."""

import secrets
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from devstack.servers.nats import NatsServer
from devstack.servers.postgres import ROLES, PostgresServer
from devstack.servers.valkey import ValkeyServer
from tests.days import wait_for_a_whole_test
from tests.servers import fixtures
from tests.servers.choice import choose

# How long an example takes says something about the machine and nothing about us.
settings.register_profile("codexflow", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("codexflow")


UNIT_TESTS = Path(__file__).parent / "unit"


def pytest_report_header() -> str:
    """Say which servers the run uses, so that a fallback cannot pass for the real thing."""
    choice = choose()
    return f"servers: {'containers' if choice.containers else 'embedded'} ({choice.reason})"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool | None, bool | None]:
    """A test beside real servers, which tell the time themselves, does not run from one day into the next.

    The wait is none of the time that the test may take: this goes around what watches over that.
    """
    if not item.path.is_relative_to(UNIT_TESTS):
        wait_for_a_whole_test()
    return (yield)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One PostgreSQL for the session; do not kill it."""
    with fixtures.make_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One NATS for the session, without streams; do not kill it. Most tests want `bus`."""
    with fixtures.make_nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One Valkey for the session; do not kill it."""
    with fixtures.make_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def database_passwords() -> dict[str, str]:
    """Passwords of the Postgres roles on the session's server, by role name."""
    return {role: secrets.token_hex(8) for role in ROLES}


@pytest.fixture
def database(postgres_server: PostgresServer, database_passwords: dict[str, str]) -> Iterator[fixtures.Database]:
    """A fresh database with the roles and (empty) schemas of accounts and usage; dropped at the end."""
    made = fixtures.make_database(postgres_server, database_passwords)
    yield made
    fixtures.drop_database(made)


@pytest.fixture
def bus(make_nats_server: Callable[[], NatsServer]) -> fixtures.Bus:
    """A NATS server of the test's own, provisioned; `bus.server` may be killed and restarted."""
    made = fixtures.Bus(make_nats_server())
    made.provision()
    return made


@pytest.fixture
def make_nats_server(tmp_path: Path) -> Iterator[Callable[[], NatsServer]]:
    """Starts NATS servers of the test's own, to be killed and restarted."""
    with fixtures.factory(fixtures.make_nats, tmp_path / "nats") as make:
        yield make


@pytest.fixture
def make_postgres_server(tmp_path: Path) -> Iterator[Callable[[], PostgresServer]]:
    """Starts PostgreSQL servers of the test's own, to be killed and restarted."""
    with fixtures.factory(fixtures.make_postgres, tmp_path / "postgres") as make:
        yield make


@pytest.fixture
def make_valkey_server(tmp_path: Path) -> Iterator[Callable[[], ValkeyServer]]:
    """Starts Valkey servers of the test's own, to be killed and restarted."""
    with fixtures.factory(fixtures.make_valkey, tmp_path / "valkey") as make:
        yield make
