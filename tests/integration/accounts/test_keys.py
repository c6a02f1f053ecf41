"""The life of a key over HTTP, and what is kept of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from common.contracts.api_keys import KEY_PATTERN, Peppers, lookup_of
from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service


def _issue(accounts: Service, project: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = accounts.alice.post(f"/projects/{project['id']}/keys", json={"name": "Laptop", **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_the_whole_life_of_a_key(accounts: Service, project: dict[str, Any]):
    """Issued, shown, listed, changed, revoked; each change reaches the bucket with a higher version."""
    issued = _issue(accounts, project, models=["fast"], tags={"team": "search"})
    path, entry = f"/projects/{project['id']}/keys/{issued['id']}", f"key.{lookup_of(issued['key'])}"
    assert (issued["status"], issued["effective"]["gateways"], issued["effective"]["pending"]) == ("active", 0, False)
    record = bucket.read(accounts.bus, entry)
    digest = Peppers.parse("1:" + "ab" * 32).digest(issued["key"]).hex()
    assert record is not None
    assert record["secrets"] == [{"pepper_version": 1, "digest": digest}]
    assert (record["version"], record["models"], record["tags"]) == (1, ["fast"], {"team": "search"})
    assert record["organization_id"] == accounts.alice_seed["organization_id"]

    shown = accounts.alice.get(path).json()
    assert "key" not in shown
    assert shown["hint"].startswith("sk-cf-")
    assert [key["id"] for key in accounts.alice.get(f"/projects/{project['id']}/keys").json()["data"]] == [issued["id"]]

    changed = accounts.alice.patch(path, json={"name": "Desktop", "models": None}).json()
    assert (changed["name"], changed["models"], changed["version"]) == ("Desktop", None, 2)

    revoked = accounts.alice.delete(path)
    assert revoked.status_code == 200
    assert revoked.json()["status"] == "revoked"
    assert revoked.json()["revoked_at"]
    assert not revoked.json()["effective"]["pending"]
    record = bucket.read(accounts.bus, entry)
    assert record is not None
    assert (record["status"], record["version"]) == ("revoked", 3)

    again = accounts.alice.delete(path)
    assert (again.status_code, again.json()["version"]) == (200, 3), "revoking again changes nothing"
    assert accounts.alice.patch(path, json={"name": "Alive?"}).status_code == 409
    active = accounts.alice.get(f"/projects/{project['id']}/keys", params={"status": "active"}).json()
    assert active == {"data": [], "next_cursor": None}


def test_no_plaintext_is_kept_anywhere(accounts: Service, project: dict[str, Any]):
    """Neither in any row of the database, nor in the log, nor in the bucket; only the digest."""
    plaintext = _issue(accounts, project)["key"]
    secret = plaintext[22:]
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'accounts'").fetchall()
        assert len(tables) >= 7
        dump = "".join(
            str(connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name))).fetchall()) for (name,) in tables
        )
    assert lookup_of(plaintext) in dump, "the search works"
    assert secret not in dump
    assert not KEY_PATTERN.search(dump)
    log = accounts.process.log.read_text()
    assert secret not in log
    assert "password" not in log
    assert secret not in str(bucket.read(accounts.bus, f"key.{lookup_of(plaintext)}"))


def test_expiry_is_announced_in_milliseconds(accounts: Service, project: dict[str, Any]):
    """The gateways refuse it at that moment by their own clock."""
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    issued = _issue(accounts, project, expires_at=moment.isoformat())
    record = bucket.read(accounts.bus, f"key.{lookup_of(issued['key'])}")
    assert record is not None
    assert record["expires_at"] == int(moment.timestamp() * 1000)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": 5}, "name"),
        ({"name": "x", "models": "fast"}, "models"),
        ({"name": "x", "models": ["a"] * 201}, "models"),
        ({"name": "x", "label": "prod"}, "label"),
        ({"name": "x", "tags": {"a": 1}}, "tags.a"),
        ({"name": "x", "expires_at": 1999999999}, "expires_at"),
        ({"name": "x", "expires_at": "2031-01-01T00:00:00"}, "expires_at"),
        ({"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "secret": "sk-mine"}, "secret"),
        ([], "body"),
    ],
)
def test_a_wrong_body_is_refused_by_field(accounts: Service, project: dict[str, Any], body: Any, field: str):
    """A problem document names the field and repeats no value."""
    answer = accounts.alice.post(f"/projects/{project['id']}/keys", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert "sk-mine" not in answer.text


def test_hostile_bodies_are_refused_politely(accounts: Service, project: dict[str, Any]):
    """Malformed, too deep, too large, lone surrogates: never a 5xx."""
    path, headers = f"/projects/{project['id']}/keys", {"content-type": "application/json"}
    bodies = {
        b"{": 422,
        b"[" * 100_000: 400,
        b'{"\\ud800": 1}': 422,
        b'{"name": "\\ud800"}': 422,
        b'{"name": "' + b"x" * 300_000 + b'"}': 413,
        b"\xff\xfe": 422,
    }
    for body, status in bodies.items():
        answer = accounts.alice.post(path, content=body, headers=headers)
        assert answer.status_code == status, (body[:20], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    endless = accounts.alice.post(path, content=(b" " * 65_536 for _ in range(10)), headers=headers)
    assert endless.status_code == 413


def test_pages_are_stable_and_complete(accounts: Service, project: dict[str, Any]):
    """Walking the pages shows every key once, also when one is added meanwhile."""
    made = [_issue(accounts, project, name=f"Key {number}")["id"] for number in range(5)]
    path, seen, cursor = f"/projects/{project['id']}/keys", [], None
    while True:
        page = accounts.alice.get(path, params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [key["id"] for key in page["data"]]
        cursor = page["next_cursor"]
        if len(made) == 5:
            made.append(_issue(accounts, project, name="Late")["id"])
        if cursor is None:
            break
    assert seen == made
    assert accounts.alice.get(path, params={"limit": 0}).status_code == 422
    assert accounts.alice.get(path, params={"limit": 201}).status_code == 422
    assert accounts.alice.get(path, params={"cursor": "'; DROP TABLE users"}).status_code == 422
