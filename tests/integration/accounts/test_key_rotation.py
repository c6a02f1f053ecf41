"""Rotation with overlap over HTTP: one key, its secrets come and go, and the bucket says when."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from common.contracts.api_keys import Peppers, lookup_of
from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service

PEPPERS = Peppers.parse("1:" + "ab" * 32)


def make_key(accounts: Service, project: dict[str, Any], **fields: Any) -> dict[str, Any]:
    made = accounts.alice.post(f"/projects/{project['id']}/keys", json={"name": "Turning", **fields})
    assert made.status_code == 201, made.text
    return made.json()


def rotate(accounts: Service, key: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = accounts.alice.post(f"/projects/{key['project_id']}/keys/{key['id']}/rotate", json=body or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


def announced(accounts: Service, key: dict[str, Any], version: int) -> list[dict[str, Any]]:
    return bucket.wait_for(accounts.bus, f"key.{lookup_of(key['key'])}", version=version)["secrets"]


def digest(plaintext: str) -> str:
    return PEPPERS.digest(plaintext).hex()


def test_a_rotated_key_stays_the_same_key(accounts: Service, project: dict[str, Any]):
    """Another plaintext, shown once, with the lookup of the old one: id, record and all that was said of it stay."""
    key = make_key(accounts, project, tags={"a": "b"}, models=["fast"])
    turned = rotate(accounts, key)
    assert turned["key"] != key["key"]
    assert lookup_of(turned["key"]) == lookup_of(key["key"])
    for name in ("id", "tags", "models", "owner", "created_at", "status"):
        assert turned[name] == key[name]
    assert turned["hint"].endswith(turned["key"][-4:])
    assert turned["version"] == 2
    assert "key" not in accounts.alice.get(f"/projects/{project['id']}/keys/{key['id']}").json()


def test_the_old_secret_lives_for_the_overlap(accounts: Service, project: dict[str, Any]):
    """The key's own by default, or as said; announced in milliseconds, so that gateways keep it without any bus."""
    key = make_key(accounts, project, overlap_seconds=600)
    for said, seconds in (({}, 600), ({"overlap_seconds": 5}, 5), ({"overlap_seconds": None}, 600)):
        before = datetime.now(UTC)
        turned = rotate(accounts, key, **said)
        until = datetime.fromisoformat(turned["rotation"]["old_secret_until"])
        assert before + timedelta(seconds=seconds - 1) <= until <= datetime.now(UTC) + timedelta(seconds=seconds)
        new, old = announced(accounts, key, turned["version"])
        assert new == {"pepper_version": 1, "digest": digest(turned["key"])}
        assert old["not_after"] == round(until.timestamp() * 1000)


def test_two_secrets_live_at_most(accounts: Service, project: dict[str, Any]):
    """Rotating again during an overlap ends the older secret at once."""
    key = make_key(accounts, project)
    second = rotate(accounts, key)
    third = rotate(accounts, key)
    live = [secret["digest"] for secret in announced(accounts, key, 3)]
    assert live == [digest(third["key"]), digest(second["key"])]


def test_without_an_overlap_the_old_secret_dies_at_once(accounts: Service, project: dict[str, Any]):
    """And the answer says on how many gateways by now, like a revocation's."""
    key = make_key(accounts, project)
    turned = rotate(accounts, key, overlap_seconds=0)
    assert turned["rotation"]["old_secret_until"] is None
    assert not turned["effective"]["pending"]
    assert [secret["digest"] for secret in announced(accounts, key, 2)] == [digest(turned["key"])]


def test_an_overlap_is_ended_early(accounts: Service, project: dict[str, Any]):
    """From then on the newest secret is alone; ending it again changes nothing."""
    key = make_key(accounts, project)
    turned = rotate(accounts, key)
    path = f"/projects/{project['id']}/keys/{key['id']}/rotation/end"
    ended = accounts.alice.post(path)
    assert (ended.status_code, ended.json()["version"]) == (200, 3)
    assert ended.json()["rotation"]["old_secret_until"] is None
    assert not ended.json()["effective"]["pending"]
    assert announced(accounts, key, 3) == [{"pepper_version": 1, "digest": digest(turned["key"])}]
    assert accounts.alice.post(path).json()["version"] == 3


def test_dead_secrets_are_forgotten_by_the_next_change(accounts: Service, project: dict[str, Any]):
    """Whatever it is; until then they stand there, dead."""
    key = make_key(accounts, project)
    rotate(accounts, key)
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        connection.execute("UPDATE api_keys SET secrets = jsonb_set(secrets, '{1,not_after}', '1000') WHERE id = %s", [key["id"]])
    path = f"/projects/{project['id']}/keys/{key['id']}"
    assert accounts.alice.get(path).json()["rotation"]["old_secret_until"] is None
    accounts.alice.patch(path, json={"name": "Tidy"})
    assert len(announced(accounts, key, 3)) == 1


def test_a_revoked_key_is_not_rotated(accounts: Service, project: dict[str, Any]):
    """It would come back to life."""
    key = make_key(accounts, project)
    accounts.alice.delete(f"/projects/{project['id']}/keys/{key['id']}")
    path = f"/projects/{project['id']}/keys/{key['id']}"
    assert accounts.alice.post(f"{path}/rotate").status_code == 409
    assert accounts.alice.post(f"{path}/rotation/end").json()["version"] == 2


@pytest.mark.parametrize("body", [{"overlap_seconds": -1}, {"overlap_seconds": 30 * 86_400 + 1}, {"key": "mine"}, []])
def test_a_wrong_rotation_is_refused(accounts: Service, project: dict[str, Any], body: Any):
    """And leaves the key as it was."""
    key = make_key(accounts, project)
    path = f"/projects/{project['id']}/keys/{key['id']}"
    assert accounts.alice.post(f"{path}/rotate", json=body).status_code == 422
    assert accounts.alice.get(path).json()["version"] == 1


def test_a_schedule_that_would_kill_the_key_is_refused(accounts: Service, project: dict[str, Any]):
    """Its secret is older than the schedule allows: rotate first, then it is accepted."""
    key = make_key(accounts, project)
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        connection.execute("UPDATE api_keys SET created_at = now() - interval '40 days' WHERE id = %s", [key["id"]])
    path = f"/projects/{project['id']}/keys/{key['id']}"
    refused = accounts.alice.patch(path, json={"rotate_days": 30})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "rotate_days")
    rotate(accounts, key)
    accepted = accounts.alice.patch(path, json={"rotate_days": 30})
    assert accepted.status_code == 200
    rotation = accepted.json()["rotation"]
    due = datetime.fromisoformat(rotation["rotated_at"]) + timedelta(days=30)
    assert datetime.fromisoformat(rotation["next_rotation_at"]) == due


def test_rotations_are_audited_without_secrets(accounts: Service, project: dict[str, Any]):
    """Who rotated which key and when; no digest, no plaintext."""
    key = make_key(accounts, project)
    turned = rotate(accounts, key)
    accounts.alice.post(f"/projects/{project['id']}/keys/{key['id']}/rotation/end")
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        lines = connection.execute(
            "SELECT action, before::text || after::text FROM audit_log WHERE object_id = %s AND before IS NOT NULL ORDER BY id",
            [key["id"]],
        ).fetchall()
    assert [action for action, _ in lines] == ["key.rotated", "key.rotation_ended"]
    told = "".join(text for _, text in lines)
    for secret in (key["key"][22:], turned["key"][22:], digest(key["key"]), digest(turned["key"])):
        assert secret not in told
    assert turned["hint"] in told
