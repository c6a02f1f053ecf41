"""What a key may be told: owner, endpoints, networks, limits, tags; who may tell it; and lists filtered by it."""

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from common.contracts.api_keys import lookup_of
from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service

SERVICE_ACCOUNT = (
    "INSERT INTO service_accounts (id, organization_id, name, role, created_by) VALUES (%s, %s, %s, 'developer', %s)"
)
WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
EVERYTHING: dict[str, Any] = {
    "name": "Everything",
    "label": "test",
    "scopes": ["chat", "models", "chat"],
    "models": ["fast"],
    "networks": ["203.0.113.7/24", "2001:DB8::/48", "203.0.113.0/24"],
    "limits": {"monthly_tokens": 10, "concurrency": None},
    "tags": {"team": "search"},
    "rotate_days": 30,
    "overlap_seconds": 600,
}


@pytest.fixture
def bob_as(accounts: Service) -> Callable[[str], AbstractContextManager[httpx.Client]]:
    """Bob with a role in Alice's organization, for a while."""
    membership = (accounts.bob_seed["user_id"], accounts.alice_seed["organization_id"])

    @contextmanager
    def member(role: str) -> Iterator[httpx.Client]:
        with psycopg.connect(accounts.database.conninfo("accounts"), autocommit=True) as connection:
            connection.execute(
                "INSERT INTO memberships (user_id, organization_id, role) VALUES (%s, %s, %s)", [*membership, role]
            )
            try:
                yield accounts.bob
            finally:
                connection.execute("DELETE FROM memberships WHERE user_id = %s AND organization_id = %s", membership)

    return member


@pytest.fixture
def service_account(accounts: Service) -> str:
    """An active service account of Alice's organization."""
    made = str(uuid.uuid4())
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        values = [made, accounts.alice_seed["organization_id"], f"robot {made}", accounts.alice_seed["user_id"]]
        connection.execute(SERVICE_ACCOUNT, values)
    return made


def issue(client: httpx.Client, project: dict[str, Any], **fields: Any) -> dict[str, Any]:
    made = client.post(f"/projects/{project['id']}/keys", json={"name": "Key", **fields})
    assert made.status_code == 201, made.text
    return made.json()


def change(client: httpx.Client, key: dict[str, Any], **fields: Any) -> httpx.Response:
    return client.patch(f"/projects/{key['project_id']}/keys/{key['id']}", json=fields)


def wrong_fields(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [error["field"] for error in answer.json()["errors"]]


def test_everything_can_be_said_of_a_key(accounts: Service, project: dict[str, Any]):
    """At creation; it is shown in one spelling, and what the gateways decide on is announced."""
    key = issue(accounts.alice, project, **EVERYTHING)
    assert key["owner"] == {"kind": "member", "id": accounts.alice_seed["user_id"]}
    assert (key["label"], key["scopes"], key["tags"]) == ("test", ["chat", "models"], {"team": "search"})
    assert key["networks"] == ["203.0.113.0/24", "2001:db8::/48"]
    assert (key["limits"]["version"], key["limits"]["monthly_tokens"], key["limits"]["concurrency"]) == (1, 10, None)
    rotation = key["rotation"]
    due = datetime.fromisoformat(key["created_at"]) + timedelta(days=30)
    assert (rotation["rotate_days"], rotation["overlap_seconds"], rotation["rotated_at"]) == (30, 600, None)
    assert datetime.fromisoformat(rotation["next_rotation_at"]) == due
    assert datetime.fromisoformat(rotation["stops_working_at"]) == due + timedelta(minutes=10)
    assert key["last_used_at"] is None
    record = bucket.wait_for(accounts.bus, f"key.{lookup_of(key['key'])}")
    assert {name: record[name] for name in ("scopes", "models", "networks", "limits", "label", "tags")} == {
        "scopes": ["chat", "models"],
        "models": ["fast"],
        "networks": ["203.0.113.0/24", "2001:db8::/48"],
        "limits": {"version": 1, "monthly_tokens": 10},
        "label": "test",
        "tags": {"team": "search"},
    }
    assert (record["owner_kind"], record["owner_id"]) == ("member", accounts.alice_seed["user_id"])


def test_everything_can_be_changed_and_taken_back(accounts: Service, project: dict[str, Any], service_account: str):
    """Each field alone; null takes an allow-list away; the version of the limits rises with them alone."""
    key = issue(accounts.alice, project)
    steps: list[tuple[dict[str, Any], int]] = [
        ({"name": "Other", "label": "test", "tags": {"a": "b"}}, 0),
        ({"scopes": ["embeddings"], "models": [], "networks": ["10.0.0.1"]}, 0),
        ({"limits": {"daily_tokens": 5}}, 1),
        ({"limits": {"daily_tokens": 5}}, 1),
        ({"limits": {"monthly_tokens": 7}}, 2),
        ({"limits": {"daily_tokens": None}}, 3),
        ({"owner_id": service_account}, 3),
        ({"rotate_days": 5, "overlap_seconds": 0, "expires_at": "2999-01-01T00:00:00Z"}, 3),
        ({"scopes": None, "models": None, "networks": None, "rotate_days": None, "expires_at": None}, 3),
    ]
    for number, (fields, version) in enumerate(steps, start=2):
        answer = change(accounts.alice, key, **fields)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["version"], answer.headers["etag"]) == (number, f'"v{number}"')
        assert answer.json()["limits"]["version"] == version
    shown = accounts.alice.get(f"/projects/{project['id']}/keys/{key['id']}").json()
    assert shown["owner"] == {"kind": "service_account", "id": service_account}
    assert (shown["name"], shown["label"], shown["tags"], shown["networks"]) == ("Other", "test", {"a": "b"}, None)
    assert (shown["limits"]["monthly_tokens"], shown["limits"]["daily_tokens"]) == (7, None)
    record = bucket.wait_for(accounts.bus, f"key.{lookup_of(key['key'])}", version=10)
    assert (record["owner_kind"], record["owner_id"], record["limits"]["version"]) == ("service_account", service_account, 3)


def test_a_change_under_a_condition(accounts: Service, project: dict[str, Any]):
    """If-Match: of two who have read the same state, the second is told to read again."""
    key = issue(accounts.alice, project)
    path, seen = f"/projects/{project['id']}/keys/{key['id']}", {"if-match": '"v1"'}
    assert accounts.alice.get(path).headers["etag"] == '"v1"'
    assert accounts.alice.patch(path, json={"name": "First"}, headers=seen).status_code == 200
    assert accounts.alice.patch(path, json={"name": "Second"}, headers=seen).status_code == 412
    assert accounts.alice.post(f"{path}/rotate", headers=seen).status_code == 412
    assert accounts.alice.post(f"{path}/rotation/end", headers=seen).status_code == 412
    assert accounts.alice.get(path).json()["name"] == "First"


def test_a_key_is_suspended_and_reinstated(accounts: Service, project: dict[str, Any]):
    """Announced each time; a revoked one can be neither."""
    key = issue(accounts.alice, project)
    entry = f"key.{lookup_of(key['key'])}"
    for version, status in ((2, "suspended"), (3, "active")):
        answer = change(accounts.alice, key, status=status)
        assert (answer.status_code, answer.json()["status"]) == (200, status)
        assert not answer.json()["effective"]["pending"]
        assert bucket.wait_for(accounts.bus, entry, version=version)["status"] == status
    assert wrong_fields(change(accounts.alice, key, status="revoked")) == ["status"]
    accounts.alice.delete(f"/projects/{project['id']}/keys/{key['id']}")
    assert change(accounts.alice, key, status="active").status_code == 409
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        actions = connection.execute("SELECT action FROM audit_log WHERE object_id = %s ORDER BY id", [key["id"]]).fetchall()
    assert [action for (action,) in actions] == ["key.issued", "key.suspended", "key.reinstated", "key.revoked"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"scopes": ["everything"]}, "scopes.0"),
        ({"scopes": []}, "scopes"),
        ({"networks": []}, "networks"),
        ({"networks": ["somewhere"]}, "networks.0"),
        ({"networks": ["10.0.0.0/40"]}, "networks.0"),
        ({"networks": [f"10.0.0.{number}" for number in range(101)]}, "networks"),
        ({"limits": {"monthly_tokens": -1}}, "limits.monthly_tokens"),
        ({"limits": None}, "limits"),
        ({"rotate_days": 0}, "rotate_days"),
        ({"rotate_days": 366}, "rotate_days"),
        ({"overlap_seconds": -1}, "overlap_seconds"),
        ({"overlap_seconds": 30 * 86_400 + 1}, "overlap_seconds"),
        ({"owner_id": "me"}, "owner_id"),
        ({"owner_id": "01900000-0000-7000-8000-000000000000"}, "owner_id"),
        ({"tags": {"x" * 65: "y"}}, f"tags.{'x' * 65}.[key]"),
    ],
)
def test_a_wrong_field_is_named(accounts: Service, project: dict[str, Any], fields: dict[str, Any], wrong: str):
    """At creation and by a change, in the same words."""
    assert wrong_fields(accounts.alice.post(f"/projects/{project['id']}/keys", json={"name": "X", **fields})) == [wrong]
    assert wrong_fields(change(accounts.alice, issue(accounts.alice, project), **fields)) == [wrong]


def test_a_key_has_no_more_than_its_project(accounts: Service, project: dict[str, Any]):
    """Above what is in force for the project is refused by name; as much is fine, and so is anything where it has no limit."""
    accounts.alice.patch(f"/projects/{project['id']}", json={"limits": {"monthly_tokens": 100, "concurrency": 3}})
    path = f"/projects/{project['id']}/keys"
    above = {"limits": {"monthly_tokens": 101, "concurrency": 4, "daily_tokens": 10**9}}
    refused = accounts.alice.post(path, json={"name": "Greedy", **above})
    assert wrong_fields(refused) == ["limits.monthly_tokens", "limits.concurrency"]
    key = issue(accounts.alice, project, limits={"monthly_tokens": 100, "daily_tokens": 10**9})
    assert wrong_fields(change(accounts.alice, key, limits={"concurrency": 4})) == ["limits.concurrency"]
    accounts.alice.patch(f"/projects/{project['id']}", json={"limits": {"monthly_tokens": 50}})
    assert change(accounts.alice, key, name="Renamed").status_code == 200, "the project's limit fell: the lower one counts"
    assert wrong_fields(change(accounts.alice, key, limits={"monthly_tokens": 60})) == ["limits.monthly_tokens"]


def test_only_who_belongs_to_the_organization_owns_keys(accounts: Service, project: dict[str, Any], bob_as: Any):
    """Not strangers, not those who have left, not a service account of somebody else."""
    bob, path = accounts.bob_seed["user_id"], f"/projects/{project['id']}/keys"
    assert wrong_fields(accounts.alice.post(path, json={"name": "X", "owner_id": bob})) == ["owner_id"]
    with bob_as("viewer"):
        key = issue(accounts.alice, project, owner_id=bob)
        assert key["owner"] == {"kind": "member", "id": bob}
        with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
            connection.execute("UPDATE memberships SET status = 'suspended' WHERE user_id = %s AND role = 'viewer'", [bob])
        assert wrong_fields(change(accounts.alice, issue(accounts.alice, project), owner_id=bob)) == ["owner_id"]


def test_developers_help_themselves(accounts: Service, project: dict[str, Any], bob_as: Any):
    """Keys of their own, within the project's limits; nobody else's, and for nobody else."""
    accounts.alice.patch(f"/projects/{project['id']}", json={"limits": {"monthly_tokens": 100}})
    hers, bob_id = issue(accounts.alice, project), accounts.bob_seed["user_id"]
    with bob_as("developer") as bob:
        path = f"/projects/{project['id']}/keys"
        mine = issue(bob, project, limits={"monthly_tokens": 100}, owner_id=bob_id)
        assert mine["owner"] == {"kind": "member", "id": bob_id}
        assert issue(bob, project)["owner"] == mine["owner"], "one's own is the default"
        assert wrong_fields(bob.post(path, json={"name": "X", "limits": {"monthly_tokens": 101}})) == ["limits.monthly_tokens"]
        for_alice = {"name": "X", "owner_id": accounts.alice_seed["user_id"]}
        assert bob.post(path, json=for_alice).status_code == 403
        assert change(bob, mine, owner_id=accounts.alice_seed["user_id"]).status_code == 403
        assert change(bob, mine, name="Mine", status="suspended").status_code == 200
        assert bob.post(f"{path}/{mine['id']}/rotate").status_code == 200
        assert bob.post(f"{path}/{mine['id']}/rotation/end").status_code == 200
        assert bob.get(f"{path}/{hers['id']}").status_code == 200, "keys are seen by all who have keys.read"
        refused = [
            change(bob, hers, name="Not mine"),
            change(bob, hers, owner_id=bob_id),
            bob.post(f"{path}/{hers['id']}/rotate"),
            bob.post(f"{path}/{hers['id']}/rotation/end"),
            bob.delete(f"{path}/{hers['id']}"),
        ]
        assert [answer.status_code for answer in refused] == [403] * 5
        assert bob.delete(f"{path}/{mine['id']}").status_code == 200
        assert bob.patch(f"/projects/{project['id']}", json={"limits": {"monthly_tokens": 10**6}}).status_code == 403
    assert accounts.alice.get(f"{path}/{hers['id']}").json()["version"] == 1


def test_lists_of_keys_are_filtered(accounts: Service, project: dict[str, Any], service_account: str):
    """By status, owner, label, part of the name, use and expiry, also together."""
    path = f"/projects/{project['id']}/keys"
    soon = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    issue(accounts.alice, project, name="100% Laptop", expires_at=soon)
    issue(accounts.alice, project, name="Robot", label="test", owner_id=service_account)
    used = issue(accounts.alice, project, name="laptop_2")
    accounts.alice.delete(f"{path}/{issue(accounts.alice, project, name='Gone')['id']}")
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        connection.execute(
            "UPDATE api_keys SET created_at = now() - interval '9 days', last_used_at = CASE WHEN id = %s"
            " THEN now() END WHERE project_id = %s",
            [used["id"], project["id"]],
        )

    def found(**only: str) -> list[str]:
        answer = accounts.alice.get(path, params=only)
        assert answer.status_code == 200, answer.text
        return [key["name"] for key in answer.json()["data"]]

    week_ago = (datetime.now(UTC) - timedelta(days=7)).isoformat()
    assert found(status="revoked") == ["Gone"]
    assert found(owner_id=service_account) == found(label="test") == ["Robot"]
    assert found(owner_id=accounts.alice_seed["user_id"], status="active") == ["100% Laptop", "laptop_2"]
    assert found(name="LAPTOP") == ["100% Laptop", "laptop_2"]
    assert found(name="0%") == ["100% Laptop"]
    assert found(name="p_2") == ["laptop_2"]
    assert found(name="_") == ["laptop_2"], "no wildcard"
    assert found(unused_since=week_ago, status="active") == ["100% Laptop", "Robot"]
    assert found(unused_since="2001-01-01T00:00:00Z") == [], "none is that old"
    assert found(expires_before="2999-01-01T00:00:00Z") == ["100% Laptop"]
    assert found(expires_before=datetime.now(UTC).isoformat()) == []
    for wrong in ({"unused_since": "yesterday"}, {"name": ""}, {"label": "prod"}, {"owner_id": "x"}, {"expires_before": "1"}):
        assert accounts.alice.get(path, params=wrong).status_code == 422


def test_an_owner_cannot_leave_while_a_key_is_being_issued(accounts: Service, project: dict[str, Any], bob_as: Any):
    """Who ends a membership locks it first: the issue waits for that, and then finds nobody to own the key."""
    bob_id, path = accounts.bob_seed["user_id"], f"/projects/{project['id']}/keys"
    conninfo = accounts.database.conninfo("accounts")
    with (
        bob_as("developer"),
        ThreadPoolExecutor(1) as threads,
        psycopg.connect(conninfo) as leaving,
        psycopg.connect(conninfo, autocommit=True) as watching,
    ):
        leaving.execute(
            "UPDATE memberships SET status = 'ended' WHERE user_id = %s AND organization_id = %s",
            [bob_id, accounts.alice_seed["organization_id"]],
        )
        late = threads.submit(accounts.alice.post, path, json={"name": "Late", "owner_id": bob_id})
        while not late.done() and not watching.execute(WAITING).fetchall():
            time.sleep(0.02)
        leaving.commit()
        assert wrong_fields(late.result()) == ["owner_id"]
