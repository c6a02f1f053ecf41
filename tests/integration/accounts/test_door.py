"""What the door adds to every request: an id, and where it came from."""

from collections.abc import Callable

import httpx
import psycopg
import pytest

from tests.integration.accounts.conftest import Service
from tests.integration.accounts.process import AccountsProcess, seed
from tests.servers.fixtures import Database


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/auth/me", "/api/v1/nothing", "/docs"])
def test_every_answer_carries_a_request_id(accounts: Service, path: str):
    """The client's own when it is well-formed, else one of ours; refusals carry it too."""
    url = accounts.process.url + path
    assert httpx.get(url, headers={"x-request-id": "job-7.A_b"}).headers["x-request-id"] == "job-7.A_b"
    for malformed in ("", "x" * 65, "a b", "a/b", "naïve".encode().decode("latin-1")):
        made = httpx.get(url, headers={"x-request-id": malformed.encode("latin-1")}).headers["x-request-id"]
        assert made != malformed
        assert len(made) == 36


def test_the_request_id_is_in_the_audit_log(accounts: Service):
    """So that a client's complaint can be followed to what was changed."""
    made = accounts.alice.post("/organizations", json={"name": "Traced"}, headers={"x-request-id": "trace-me-4711"})
    assert made.status_code == 201
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        found = connection.execute("SELECT object_id, address FROM audit_log WHERE request_id = 'trace-me-4711'").fetchall()
    assert found == [(made.json()["id"], "127.0.0.1")]


@pytest.mark.parametrize(("proxies", "expected"), [("127.0.0.0/8, 10.0.0.0/8", "203.0.113.7"), ("", "127.0.0.1")])
def test_only_trusted_proxies_say_where_a_request_came_from(
    migrated: dict[str, str], database: Database, start_accounts: Callable[..., AccountsProcess], proxies: str, expected: str
):
    """With the setting the address they saw is recorded, without it the peer's."""
    seed(migrated, "alice@example.com")
    process = start_accounts({**migrated, "ACCOUNTS_TRUSTED_PROXIES": proxies})
    with process.sign_in("alice@example.com") as alice:
        made = alice.post("/organizations", json={"name": "Far"}, headers={"x-forwarded-for": "192.0.2.1, 203.0.113.7, 10.1.1.1"})
    with psycopg.connect(database.conninfo("accounts")) as connection:
        found = connection.execute("SELECT address FROM audit_log WHERE object_id = %s", [made.json()["id"]]).fetchone()
    assert found == (expected,)
