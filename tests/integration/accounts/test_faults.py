"""What is committed arrives, whatever dies on the way."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest

from common.contracts.api_keys import lookup_of
from devstack.servers.postgres import PostgresServer
from tests.integration.accounts import bucket
from tests.integration.accounts.process import AccountsProcess, environment, run, seed
from tests.servers.fixtures import Bus, Database, drop_database, make_database

pytestmark = pytest.mark.faults


def _issue(client: httpx.Client, project: str, name: str) -> dict[str, Any]:
    answer = client.post(f"/projects/{project}/keys", json={"name": name})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_changes_made_while_nats_is_dead_arrive_after_its_restart(
    migrated: dict[str, str], bus: Bus, start_accounts: Callable[..., AccountsProcess]
):
    """The API goes on and says `pending`; the outbox waits; the revocation is in the bucket soon after the restart."""
    demo = seed(migrated, "alice@example.com")
    process = start_accounts(migrated)
    with process.sign_in("alice@example.com") as alice:
        early = _issue(alice, demo["project_id"], "before")
        assert not early["effective"]["pending"]
        bus.server.kill()
        started = time.monotonic()
        late = _issue(alice, demo["project_id"], "while dead")
        revoked = alice.delete(f"/projects/{demo['project_id']}/keys/{early['id']}").json()
        assert time.monotonic() - started < 20
        assert (revoked["status"], revoked["effective"]["pending"], late["effective"]["pending"]) == ("revoked", True, True)
        assert late["effective"]["gateways"] == 0
    bus.server.restart()
    restarted = time.monotonic()
    assert bucket.wait_for(bus, f"key.{lookup_of(early['key'])}", version=2)["status"] == "revoked"
    assert time.monotonic() - restarted < 20
    assert bucket.wait_for(bus, f"key.{lookup_of(late['key'])}")["status"] == "active"
    process.wait_for("/readyz")


def test_a_recreated_bucket_is_filled_again_before_its_manifest(
    migrated: dict[str, str], bus: Bus, start_accounts: Callable[..., AccountsProcess]
):
    """All records come back with the versions they had, then a manifest of a later generation that counts them."""
    demo = seed(migrated, "alice@example.com")
    process = start_accounts(migrated)
    with process.sign_in("alice@example.com") as alice:
        keys = [_issue(alice, demo["project_id"], f"Key {number}") for number in range(20)]
        alice.delete(f"/projects/{demo['project_id']}/keys/{keys[0]['id']}")
        first = bucket.wait_for(bus, "manifest", name="generation")
        bucket.delete_bucket(bus)
        homeless = _issue(alice, demo["project_id"], "without a bucket")
        assert homeless["effective"]["pending"]
        bus.provision()
        manifest = bucket.wait_for(bus, "manifest", name="generation", version=first["generation"] + 1)
    assert [manifest[kind] for kind in ("organizations", "projects", "members", "keys")] == [1, 1, 1, 22]
    for key in keys[1:]:
        assert bucket.read(bus, f"key.{lookup_of(key['key'])}")["version"] == 1
    assert bucket.read(bus, f"key.{lookup_of(keys[0]['key'])}")["status"] == "revoked"
    assert bucket.wait_for(bus, f"key.{lookup_of(homeless['key'])}")["status"] == "active"


def test_another_replica_takes_the_relay_over(
    migrated: dict[str, str], database: Database, bus: Bus, start_accounts: Callable[..., AccountsProcess]
):
    """One of two relays; a change made through the other gets out at once; when the first is killed the second relays."""
    demo = seed(migrated, "alice@example.com")
    leader = start_accounts(migrated)
    bucket.wait_for(bus, "manifest", name="generation")
    follower = start_accounts(migrated)
    leads = [_metric(process, "accounts_relay_leads") for process in (leader, follower)]
    assert leads == [1.0, 0.0]
    with follower.sign_in("alice@example.com") as alice:
        assert not _issue(alice, demo["project_id"], "through the follower")["effective"]["pending"]
        leader.kill()
        orphan = _issue(alice, demo["project_id"], "after the death of the relay")
    assert bucket.wait_for(bus, f"key.{lookup_of(orphan['key'])}")["status"] == "active"
    assert _metric(follower, "accounts_relay_leads") == 1.0
    with psycopg.connect(database.conninfo("accounts")) as connection:
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


def _metric(process: AccountsProcess, name: str) -> float:
    lines = httpx.get(f"{process.url}/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def test_a_dead_database_is_said_and_survived(
    make_postgres_server: Callable[[], PostgresServer],
    database_passwords: dict[str, str],
    bus: Bus,
    start_accounts: Callable[..., AccountsProcess],
):
    """503 with Retry-After and unready while it is dead; afterwards everything goes on, the relay included."""
    server = make_postgres_server()
    database = make_database(server, database_passwords)
    env = environment(database, bus)
    assert run(env, "migrate").returncode == 0
    demo = seed(env, "alice@example.com")
    process = start_accounts(env)
    with process.sign_in("alice@example.com") as alice:
        server.kill()
        answer = alice.get("/organizations")
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
        server.restart()
        process.wait_for("/readyz")
        deadline = time.monotonic() + 10
        while alice.get("/organizations").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        issued = _issue(alice, demo["project_id"], "afterwards")
    assert bucket.wait_for(bus, f"key.{lookup_of(issued['key'])}")["status"] == "active"
    assert process.stop() == 0
    drop_database(database)
