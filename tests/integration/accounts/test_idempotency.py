"""Requests with an Idempotency-Key against the running service."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from accounts.outbound.database import database_url, open_engine
from accounts.use_cases.forget_leftovers import forget_answers
from devstack.openapi import documents
from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service
from tests.integration.accounts.people import Caller, People

HEADER = "idempotency-key"


def sql(accounts: Service, statement: str, *values: Any) -> list[Any]:
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        done = connection.execute(statement, values)
        return done.fetchall() if done.description else []


def issue(client: httpx.Client | Caller, project: dict[str, Any], key: str, name: str = "Once") -> httpx.Response:
    return client.post(f"/projects/{project['id']}/keys", json={"name": name}, headers={HEADER: key})


def keys_of(accounts: Service, project: dict[str, Any]) -> int:
    return len(accounts.alice.get(f"/projects/{project['id']}/keys").json()["data"])


def test_a_repeat_is_given_the_first_answer(accounts: Service, project: dict[str, Any]):
    """Status, headers and body, the plaintext of the key included; only the request's id is its own, and nothing is made twice."""
    key = str(uuid4())
    first, second = issue(accounts.alice, project, key), issue(accounts.alice, project, key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert first.json()["key"].startswith("sk-cf-")
    assert ("idempotency-replayed" in first.headers, second.headers["idempotency-replayed"]) == (False, "true")
    assert first.headers["content-type"] == second.headers["content-type"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert keys_of(accounts, project) == 1
    lines = sql(accounts, "SELECT count(*) FROM audit_log WHERE object_id = %s", first.json()["id"])
    assert lines == [(1,)]


def test_the_etag_is_repeated_too(accounts: Service, project: dict[str, Any]):
    """A rotation's, which makes one new secret however often it is asked for."""
    made = issue(accounts.alice, project, str(uuid4())).json()
    path, headers = f"/projects/{project['id']}/keys/{made['id']}/rotate", {HEADER: str(uuid4())}
    first, second = (accounts.alice.post(path, headers=headers) for _ in range(2))
    assert first.content == second.content
    assert first.headers["etag"] == second.headers["etag"] == '"v2"'


def test_requests_at_the_same_time_make_one_key(accounts: Service, people: People):
    """One runs; the others are told to come back, or are given its answer."""
    owner = people.make()
    organization = people.organization(owner)
    project = owner.post(f"/organizations/{organization['id']}/projects", json={"name": "Race"}).json()
    for _ in range(5):
        key = str(uuid4())
        with ThreadPoolExecutor(6) as threads:
            answers = list(threads.map(lambda _: issue(owner, project, key), range(6)))  # noqa: B023 - ends with the round
        made = [answer for answer in answers if answer.status_code == 201]
        waiting = [answer for answer in answers if answer.status_code != 201]
        assert len({answer.content for answer in made}) == 1
        assert len([answer for answer in made if "idempotency-replayed" not in answer.headers]) == 1
        for answer in waiting:
            assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_use")
            assert answer.headers["retry-after"] == "1"
    assert len(owner.get(f"/projects/{project['id']}/keys").json()["data"]) == 5


def test_one_that_still_runs_is_waited_for_and_a_lost_one_runs_again(accounts: Service, project: dict[str, Any]):
    """409 as long as its process may live; after a minute its repeat runs; another request under its key never does."""
    key = str(uuid4())
    assert issue(accounts.alice, project, key).status_code == 201
    digest = sql(accounts, "SELECT key_digest FROM idempotent_answers ORDER BY created_at DESC LIMIT 1")[0][0]
    age = "UPDATE idempotent_answers SET sealed = NULL, status = NULL, created_at = now() - %s * interval '1 second' WHERE key_digest = %s"
    sql(accounts, age, 0, digest)
    assert issue(accounts.alice, project, key).json()["code"] == "idempotency_key_in_use"
    sql(accounts, age, 61, digest)
    assert issue(accounts.alice, project, key, "Another").status_code == 422
    again = issue(accounts.alice, project, key)
    assert (again.status_code, "idempotency-replayed" in again.headers) == (201, False)
    assert issue(accounts.alice, project, key).content == again.content
    assert keys_of(accounts, project) == 2


def test_a_key_belongs_to_one_request(accounts: Service, project: dict[str, Any]):
    """Another body, or another path, is refused by 422."""
    key = str(uuid4())
    assert issue(accounts.alice, project, key).status_code == 201
    other_body = issue(accounts.alice, project, key, "Other")
    other_path = accounts.alice.post("/organizations", json={"name": "Once"}, headers={HEADER: key})
    for refused in (other_body, other_path):
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert keys_of(accounts, project) == 1


def test_the_key_of_somebody_else_is_another_key(accounts: Service, people: People):
    """Neither their answer nor their request can be seen by it; a token with a smaller reach is somebody else, too."""
    key, owner = str(uuid4()), people.make()
    organization = people.organization(owner)
    project = owner.post(f"/organizations/{organization['id']}/projects", json={"name": "Shared"}).json()
    admin = people.member(organization["id"], "admin")
    narrow = people.scoped(owner, "keys.issue")
    robot = people.service_account(organization["id"], "admin")
    answers = [issue(caller, project, key) for caller in (owner, admin, narrow, robot)]
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.json()["key"] for answer in answers}) == 4
    stranger = people.make()
    assert issue(stranger, project, key).status_code == 404


def test_what_was_refused_may_be_mended_under_the_same_key(accounts: Service, project: dict[str, Any]):
    """Only successes are kept; a refusal frees the key."""
    key, path = str(uuid4()), f"/projects/{project['id']}/keys"
    for body in ({}, {"name": ""}, {"name": "x", "unknown": 1}):
        assert accounts.alice.post(path, json=body, headers={HEADER: key}).status_code == 422
    assert accounts.alice.post(f"/projects/{uuid4()}/keys", json={"name": "x"}, headers={HEADER: key}).status_code == 404
    made = issue(accounts.alice, project, key)
    assert (made.status_code, "idempotency-replayed" in made.headers) == (201, False)


@pytest.mark.parametrize("key", [b"", b"x" * 256, "schön".encode(), b"a\tb"])
def test_a_key_that_is_none_is_refused(accounts: Service, project: dict[str, Any], key: bytes):
    """With the header's name, before anything is done."""
    answer = accounts.alice.post(f"/projects/{project['id']}/keys", json={"name": "x"}, headers={HEADER.encode(): key})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, HEADER)
    twice = [(HEADER, "a"), (HEADER, "b")]
    assert accounts.alice.post(f"/projects/{project['id']}/keys", json={"name": "x"}, headers=twice).status_code == 422
    assert keys_of(accounts, project) == 0


def test_a_body_that_is_too_large_is_refused_as_ever(accounts: Service, project: dict[str, Any]):
    """Also one whose length was not announced."""
    pieces = (b" " * 65_536 for _ in range(5))
    path, headers = f"/projects/{project['id']}/keys", {HEADER: str(uuid4()), "content-type": "application/json"}
    answer = accounts.alice.post(path, content=pieces, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large")


def test_the_database_has_no_secret(accounts: Service, project: dict[str, Any]):
    """Neither the plaintext of the key that was issued nor the client's Idempotency-Key is in any table."""
    key = f"idempotency-{uuid4()}"
    made = issue(accounts.alice, project, key).json()
    secret = made["key"].encode()
    assert issue(accounts.alice, project, key).json()["key"] == made["key"]
    tables = [name for (name,) in sql(accounts, "SELECT tablename FROM pg_tables WHERE schemaname = 'accounts'")]
    assert "idempotent_answers" in tables
    for table in tables:
        with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
            rows = connection.cursor(binary=True).execute(f"SELECT * FROM accounts.{table}").fetchall()  # noqa: S608 - a name from the catalog
        for value in (value for row in rows for value in row if value is not None):
            raw = value if isinstance(value, bytes) else str(value).encode()
            assert secret not in raw, table
            assert key.encode() not in raw, table


def test_answers_are_kept_for_a_day(accounts: Service, project: dict[str, Any]):
    """Then the key is free, and what is old is deleted, nothing else."""
    old, fresh = str(uuid4()), str(uuid4())
    first = issue(accounts.alice, project, old)
    sql(accounts, "UPDATE idempotent_answers SET created_at = now() - interval '23 hours 59 minutes'")
    assert issue(accounts.alice, project, old).content == first.content
    sql(accounts, "UPDATE idempotent_answers SET created_at = now() - interval '24 hours 1 minute'")
    second = issue(accounts.alice, project, old)
    assert (second.status_code, "idempotency-replayed" in second.headers) == (201, False)
    sql(accounts, "UPDATE idempotent_answers SET created_at = now() - interval '25 hours'")
    assert issue(accounts.alice, project, fresh).status_code == 201

    async def prune() -> int:
        engine = open_engine(database_url(accounts.database.url("accounts"), accounts.database.passwords["accounts"]))
        try:
            return await forget_answers(engine)
        finally:
            await engine.dispose()

    assert bucket.in_loop(prune) >= 1
    assert sql(accounts, "SELECT count(*) FROM idempotent_answers") == [(1,)]
    assert "idempotency-replayed" in issue(accounts.alice, project, fresh).headers


def test_public_routes_do_not_look_at_it(accounts: Service):
    """Signing in twice is two sessions, whatever the header says."""
    login = {"email": "alice@example.com", "password": "password"}
    answers = [
        httpx.post(f"{accounts.process.url}/api/v1/auth/login", json=login, headers={HEADER: "same"}, timeout=60)
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["access_token"] != answers[1].json()["access_token"]


def test_the_document_shows_the_header_where_it_counts():
    """On every POST that needs a token, once, and nowhere else."""
    for path, operations in documents()["accounts"]["paths"].items():
        for method, operation in operations.items():
            names = [parameter["name"] for parameter in operation.get("parameters", [])]
            wanted = method == "post" and operation["x-permission"] != "public"
            assert names.count("Idempotency-Key") == int(wanted), (method, path)


def test_requests_are_counted(accounts: Service, project: dict[str, Any]):
    """By what became of them."""
    issue(accounts.alice, project, key := str(uuid4()))
    issue(accounts.alice, project, key)
    issue(accounts.alice, project, key, "Other")
    text = httpx.get(f"{accounts.process.url}/metrics", timeout=60).text
    for outcome in ("kept", "replayed", "reused"):
        found = re.search(rf'accounts_idempotent_requests_total\{{outcome="{outcome}"\}} (\d+)', text)
        assert found
        assert int(found[1]) >= 1
