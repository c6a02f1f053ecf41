"""One accounts service for the tests that only talk to it, and makers for those that kill things."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from devstack.servers.postgres import PostgresServer
from tests.integration.accounts.people import People
from tests.integration.accounts.process import AccountsProcess, environment, run, seed
from tests.integration.accounts.role_matrix import PROVIDER
from tests.servers import fixtures


@dataclass(frozen=True)
class Service:
    """A running service with two users who know nothing of each other."""

    process: AccountsProcess
    env: dict[str, str]
    database: fixtures.Database
    bus: fixtures.Bus
    alice: httpx.Client
    bob: httpx.Client
    alice_seed: dict[str, Any]
    bob_seed: dict[str, Any]


@pytest.fixture(scope="session")
def accounts(
    postgres_server: PostgresServer, database_passwords: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service on a database and a bus of its own; don't kill any of them."""
    folder = tmp_path_factory.mktemp("accounts")
    database = fixtures.make_database(postgres_server, database_passwords)
    with fixtures.make_nats(folder / "nats") as server:
        bus = fixtures.Bus(server)
        bus.provision()
        env = environment(database, bus)
        assert run(env, "migrate").returncode == 0
        alice, bob = seed(env, "alice@example.com"), seed(env, "bob@example.com", "Bobs")
        process = AccountsProcess(env, folder).start()
        with process.sign_in("alice@example.com") as as_alice, process.sign_in("bob@example.com") as as_bob:
            yield Service(process, env, database, bus, as_alice, as_bob, alice, bob)
        assert process.stop() == 0, "SIGTERM ends in a clean exit"
    fixtures.drop_database(database)


@pytest.fixture(scope="session")
def template(postgres_server: PostgresServer, database_passwords: dict[str, str]) -> Iterator[fixtures.Database]:
    """A migrated database that nobody connects to, to be copied."""
    made = fixtures.make_database(postgres_server, database_passwords)
    done = run({**os.environ, **made.env("accounts"), **made.env("accounts_owner")}, "migrate")
    assert done.returncode == 0, done.stderr
    yield made
    fixtures.drop_database(made)


@pytest.fixture
def migrated(template: fixtures.Database, database: fixtures.Database, bus: fixtures.Bus) -> dict[str, str]:
    """The environment of a migrated database and a bus of the test's own."""
    fixtures.fill(database, template)
    return environment(database, bus)


@pytest.fixture
def start_accounts(tmp_path: Path) -> Iterator[Callable[..., AccountsProcess]]:
    """Starts services of the test's own; those that still run are ended."""
    started: list[AccountsProcess] = []

    def start(env: dict[str, str], **options: bool) -> AccountsProcess:
        process = AccountsProcess(env, tmp_path)
        started.append(process)
        return process.start(**options)

    yield start
    for process in started:
        if process.running:
            process.kill()


@pytest.fixture
def project(accounts: Service) -> dict[str, Any]:
    """A fresh project of Alice's."""
    made = accounts.alice.post(f"/organizations/{accounts.alice_seed['organization_id']}/projects", json={"name": "Fresh"})
    assert made.status_code == 201, made.text
    return made.json()


@pytest.fixture(scope="session")
def people(accounts: Service) -> Iterator[People]:
    """Makes users of the running service."""
    with (
        psycopg.connect(accounts.database.conninfo("accounts"), autocommit=True) as connection,
        httpx.Client(base_url=f"{accounts.process.url}/api/v1", timeout=60) as client,
    ):
        yield People(connection, client)


@dataclass(frozen=True)
class Asked:
    """A service that bears to be asked a lot."""

    url: str
    client: httpx.Client
    people: People


@pytest.fixture(scope="session")
def asked(accounts: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """A second service on the same database; it knows an identity provider, which is away."""
    provider = {"name": PROVIDER, "issuer": "http://127.0.0.1:9", "client_id": "codexflow"}
    env = {
        **accounts.env,
        "ACCOUNTS_OIDC_PROVIDERS": json.dumps([provider]),
        "ACCOUNTS_OIDC_SECRETS": json.dumps({PROVIDER: "unused"}),
    }
    process = AccountsProcess(env, tmp_path_factory.mktemp("asked")).start()
    try:
        with (
            psycopg.connect(accounts.database.conninfo("accounts"), autocommit=True) as connection,
            httpx.Client(base_url=f"{process.url}/api/v1", timeout=60) as client,
        ):
            yield Asked(process.url, client, People(connection, client))
    finally:
        process.kill()
