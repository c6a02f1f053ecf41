"""migrate, seed, republish and serve as an operator runs them."""

from collections.abc import Callable

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from accounts.outbound.database import connect_options, database_url
from accounts.outbound.tables import metadata
from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service
from tests.integration.accounts.process import AccountsProcess, run, seed
from tests.servers.fixtures import Bus, Database


def test_the_migrations_make_exactly_the_tables_of_the_code(migrated: dict[str, str], database: Database):
    """No drift; and migrating again changes nothing."""
    assert run(migrated, "migrate").returncode == 0
    url = database_url(database.url("accounts_owner"), database.passwords["accounts_owner"])
    engine = create_engine(url, connect_args=connect_options(statement_seconds=10))
    try:
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    finally:
        engine.dispose()


def test_seeding_twice_makes_things_once(migrated: dict[str, str], database: Database):
    """The second run finds what the first has made, shows no key, and resets no password."""
    first, second = seed(migrated, "test@codexflow.dev"), seed(migrated, "Test@CodexFlow.dev")
    assert first["created"]
    assert first["api_key"].startswith("sk-cf-")
    assert (second["created"], second["api_key"]) == (False, None)
    for name in ("organization_id", "project_id", "user_id"):
        assert first[name] == second[name]
    with psycopg.connect(database.conninfo("accounts")) as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - names from the line above
            for table in ("users", "organizations", "projects", "api_keys", "outbox")
        ]
    assert counts == [(1,), (1,), (1,), (1,), (4,)]


def test_limits_are_seeded_in_integers(migrated: dict[str, str], database: Database):
    """USD become nano-USD exactly; nonsense is refused before anything is made."""
    base = ("seed", "--email", "a@b.c", "--password", "password", "--organization", "O", "--project", "P")
    assert run(migrated, *base, "--monthly-cost-usd", "0.0000000001").returncode == 2
    assert run(migrated, *base, "--monthly-tokens", "-5").returncode == 2
    assert run(migrated, *base, "--monthly-cost-usd", "12.345678901", "--monthly-tokens", "7").returncode == 0
    with psycopg.connect(database.conninfo("accounts")) as connection:
        row = connection.execute("SELECT limits, limits_version FROM projects").fetchone()
    assert row == ({"monthly_tokens": 7, "monthly_cost_nanousd": 12_345_678_901}, 1)


@pytest.mark.parametrize("command", ["serve", "migrate", "republish", "reconcile"])
def test_a_wrong_setting_ends_with_one_sentence_and_2(migrated: dict[str, str], command: str):
    """It names the variable."""
    done = run({**migrated, "ACCOUNTS_DATABASE_URL": "mysql://x"}, command)
    assert done.returncode == 2
    assert done.stderr.startswith("ACCOUNTS_DATABASE_URL: ")
    assert done.stderr.count("\n") == 1


def test_republish_is_done_by_the_running_service(accounts: Service):
    """It reports the new generation, which the manifest carries; nothing that is there gets older."""
    before = bucket.wait_for(accounts.bus, "manifest", name="generation")
    entry = f"organization.{accounts.alice_seed['organization_id']}"
    version = bucket.wait_for(accounts.bus, entry)["version"]
    done = run(accounts.env, "republish")
    assert done.returncode == 0, done.stderr
    after = bucket.wait_for(accounts.bus, "manifest", name="generation", version=before["generation"] + 1)
    assert f'"generation": {after["generation"]}' in done.stdout
    assert after["organizations"] >= 2
    assert bucket.wait_for(accounts.bus, entry)["version"] == version


def test_the_service_starts_without_nats_and_fills_the_bucket_later(
    migrated: dict[str, str], bus: Bus, start_accounts: Callable[..., AccountsProcess]
):
    """It answers and takes changes meanwhile, unready; readiness says what is missing."""
    seed(migrated, "alice@example.com")
    bus.server.kill()
    process = start_accounts(migrated, wait_ready=False)
    with process.sign_in("alice@example.com") as alice:
        assert alice.get("/organizations").json()["data"][0]["name"] == "Demo"
        ready = alice.get(f"{process.url}/readyz")
        assert ready.status_code == 503
        assert ready.json()["dependencies"]["nats"]["state"] == "down"
    bus.server.restart()
    process.wait_for("/readyz")
    manifest = bucket.wait_for(bus, "manifest", name="generation")
    assert [manifest[kind] for kind in ("organizations", "projects", "members", "keys")] == [1, 1, 1, 1]
    assert process.stop() == 0
