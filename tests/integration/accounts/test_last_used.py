"""When a key was last used: heard from usage, by the minute, beside the key's other fields."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from common.contracts.subjects import KEY_ACTIVITY
from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service


def say(accounts: Service, body: bytes) -> None:
    """Speak as usage."""

    async def speak() -> None:
        client = await accounts.bus.connect("usage")
        await client.publish(KEY_ACTIVITY, body)
        await client.flush()
        await client.close()

    bucket.in_loop(speak)


def activity(*keys: tuple[str, datetime]) -> bytes:
    return json.dumps({"keys": [[key, int(at.timestamp() * 1000)] for key, at in keys]}).encode()


def make_key(accounts: Service, project: dict[str, Any]) -> dict[str, Any]:
    return accounts.alice.post(f"/projects/{project['id']}/keys", json={"name": "Used"}).json()


def wait_until_used(accounts: Service, key: dict[str, Any], at: datetime) -> dict[str, Any]:
    """The key once it shows that moment."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        shown = accounts.alice.get(f"/projects/{key['project_id']}/keys/{key['id']}").json()
        if shown["last_used_at"] and datetime.fromisoformat(shown["last_used_at"]) >= at:
            return shown
        time.sleep(0.05)
    raise TimeoutError(f"still {shown['last_used_at']}")


def test_use_is_remembered_and_changes_nothing_else(accounts: Service, project: dict[str, Any]):
    """Neither version nor update time rise, nothing is announced; a later minute wins, an earlier one does not."""
    key, other = make_key(accounts, project), make_key(accounts, project)
    minute = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=5)
    say(accounts, activity((key["id"], minute)))
    shown = wait_until_used(accounts, key, minute)
    assert datetime.fromisoformat(shown["last_used_at"]) == minute
    assert (shown["version"], shown["updated_at"]) == (1, key["updated_at"])
    say(accounts, activity((key["id"], minute - timedelta(hours=1)), (other["id"], minute)))
    wait_until_used(accounts, other, minute)
    say(accounts, activity((key["id"], minute + timedelta(minutes=1))))
    shown = wait_until_used(accounts, key, minute + timedelta(minutes=1))
    assert (shown["version"], shown["updated_at"]) == (1, key["updated_at"])
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        assert connection.execute("SELECT 1 FROM outbox WHERE version > 1").fetchall() == []


@pytest.mark.parametrize(
    "nonsense",
    [b"", b"{", b'{"keys": 5}', b'{"keys": [["no-id", 5], ["", -1], ["01900000-0000-7000-8000-000000000000", 1e300]]}', b"\xff"],
)
def test_what_cannot_be_read_is_passed_over(accounts: Service, project: dict[str, Any], nonsense: bytes):
    """And what comes after it is heard."""
    key = make_key(accounts, project)
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    say(accounts, nonsense)
    say(accounts, b'{"keys": [["no-id", 5], ["01900000-0000-7000-8000-000000000000", 5]]}')
    say(accounts, activity(("x", minute), (key["id"], minute)))
    wait_until_used(accounts, key, minute)


def test_nobody_uses_a_key_in_the_future(accounts: Service, project: dict[str, Any]):
    """A gateway whose clock runs ahead marks the present, so that later marks still count."""
    key = make_key(accounts, project)
    say(accounts, activity((key["id"], datetime.now(UTC) + timedelta(days=300))))
    shown = wait_until_used(accounts, key, datetime.now(UTC) - timedelta(minutes=1))
    assert datetime.fromisoformat(shown["last_used_at"]) <= datetime.now(UTC)


def test_a_thousand_keys_at_once(accounts: Service, project: dict[str, Any]):
    """One message, one statement."""
    key = make_key(accounts, project)
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        ids = [
            row[0]
            for row in connection.execute(
                "INSERT INTO api_keys (id, project_id, organization_id, lookup, hint, name, label, secrets, tags, created_by)"
                " SELECT gen_random_uuid(), project_id, organization_id, 'used-' || n, hint, 'Many', label, secrets, tags, created_by"
                " FROM api_keys, generate_series(1, 1000) n WHERE id = %s RETURNING id::text",
                [key["id"]],
            ).fetchall()
        ]
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    say(accounts, activity(*((one, minute) for one in ids), (key["id"], minute)))
    wait_until_used(accounts, key, minute)
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        used = connection.execute(
            "SELECT count(*) FROM api_keys WHERE project_id = %s AND last_used_at = %s", [project["id"], minute]
        ).fetchone()
    assert used == (1_001,)
