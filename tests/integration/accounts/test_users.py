"""The users of an installation, and its operators."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service
from tests.integration.accounts.people import People, Person
from tests.integration.accounts.process import AccountsProcess, seed

PASSWORD = "a good password"


@pytest.fixture
def operator(people: People) -> Person:
    """Who runs the installation."""
    return people.make("operator", operator=True)


def _create(operator: Person, **fields: Any) -> dict[str, Any]:
    made = operator.post("/users", json={"email": People.fresh_email(), "password": PASSWORD} | fields)
    assert made.status_code == 201, made.text
    return made.json()


def test_the_first_seeded_user_is_the_operator(accounts: Service):
    """And the second is not."""
    assert accounts.alice.get("/auth/me").json()["operator"] is True
    assert accounts.bob.get("/auth/me").json()["operator"] is False


def test_only_operators_see_and_change_users(people: People, operator: Person):
    """Everybody else is refused, whether the user exists or not; so is an operator's token that is limited."""
    user = _create(operator)
    for caller in (people.make("nobody"), people.scoped(operator, "members.manage")):
        for user_id in (user["id"], str(uuid.uuid4())):
            asks = [
                ("GET", "/users", None),
                ("POST", "/users", {"email": People.fresh_email()}),
                ("GET", f"/users/{user_id}", None),
                ("PATCH", f"/users/{user_id}", {"operator": True}),
                ("POST", f"/users/{user_id}/password-reset", None),
            ]
            assert [caller.request(method, path, json=body).status_code for method, path, body in asks] == [403] * 5
    assert operator.get(f"/users/{uuid.uuid4()}").status_code == 404


def test_a_user_is_made_found_and_changed(accounts: Service, people: People, operator: Person):
    """With a version for If-Match; the email is unique whatever its case; every change is in the audit log."""
    user = _create(operator, name="Ada")
    assert (user["name"], user["operator"], user["status"], user["has_password"]) == ("Ada", False, "active", True)
    assert operator.post("/users", json={"email": user["email"].upper()}).status_code == 409
    found = operator.get("/users", params={"email": user["email"].upper()}).json()["data"]
    assert [item["id"] for item in found] == [user["id"]]
    shown = operator.get(f"/users/{user['id']}")
    path, email = f"/users/{user['id']}", People.fresh_email("renamed")
    changed = operator.patch(path, json={"email": email, "name": "Ada L."}, headers={"if-match": shown.headers["etag"]})
    assert (changed.json()["email"], changed.json()["name"], changed.json()["effective"]) == (email, "Ada L.", None)
    assert operator.patch(path, json={"name": "X"}, headers={"if-match": shown.headers["etag"]}).status_code == 412
    assert operator.patch(path, json={"email": operator.email}).status_code == 409
    assert people.post("/auth/login", json={"email": email, "password": PASSWORD}).status_code == 200
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        log = connection.execute(
            "SELECT action, before, after FROM audit_log WHERE object_id = %s AND object_kind = 'user' ORDER BY id", [user["id"]]
        ).fetchall()
    assert [action for action, _, _ in log] == ["user.created", "user.updated"]
    assert log[1][1:] == ({"email": user["email"], "name": "Ada"}, {"email": email, "name": "Ada L."})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "no address"}, "email"),
        ({"email": "a@b.c, d@e.f"}, "email"),
        ({"email": "a@b.c", "password": "short"}, "password"),
        ({"email": "eve@example.com", "password": "EVE@example.com"}, "password"),
        ({"email": "a@b.c", "status": "suspended"}, "status"),
        ({}, "email"),
    ],
)
def test_a_wrong_user_is_refused_by_field(operator: Person, body: dict[str, Any], field: str):
    """Without its values."""
    answer = operator.post("/users", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert "short" not in answer.text


def test_a_suspended_user_is_shut_out_everywhere_at_once(accounts: Service, people: People, operator: Person):
    """No session, no sign-in, and each membership is announced as suspended, so that all keys of the person close; reinstated,
    the keys open again and the person signs in anew.
    """
    person = people.make("ada", password=PASSWORD)
    session = people.post("/auth/login", json={"email": person.email, "password": PASSWORD}).json()
    organizations = [people.organization(person, f"Team {number}")["id"] for number in range(2)]
    gone = operator.patch(f"/users/{person.id}", json={"status": "suspended"})
    assert (gone.json()["status"], gone.json()["effective"]["pending"]) == ("suspended", False)
    for organization in organizations:
        record = bucket.wait_for(accounts.bus, f"member.{organization}.{person.id}", version=2)
        assert (record["version"], record["status"]) == (2, "suspended")
    assert person.get("/auth/me").status_code == 401
    assert people.bearing(session["access_token"]).get("/organizations").status_code == 401
    assert people.post("/auth/refresh", json={"refresh_token": session["refresh_token"]}).status_code == 401
    assert people.post("/auth/login", json={"email": person.email, "password": PASSWORD}).status_code == 401
    assert operator.post(f"/users/{person.id}/password-reset").status_code == 409
    back = operator.patch(f"/users/{person.id}", json={"status": "active"})
    assert back.json()["status"] == "active"
    for organization in organizations:
        assert bucket.wait_for(accounts.bus, f"member.{organization}.{person.id}", version=3)["status"] == "active"
    assert person.get("/auth/me").status_code == 401, "the sessions of before have ended"
    assert people.post("/auth/login", json={"email": person.email, "password": PASSWORD}).status_code == 200


def test_there_is_always_an_operator(migrated: dict[str, str], start_accounts: Callable[..., AccountsProcess]):
    """Neither one alone nor two who unmake each other at the same moment leave none."""
    alice = seed(migrated, "alice@example.com")["user_id"]
    process = start_accounts(migrated)
    with process.sign_in("alice@example.com") as client:
        for change in ({"operator": False}, {"status": "suspended"}):
            refused = client.patch(f"/users/{alice}", json=change)
            assert refused.status_code == 409
        made = client.post("/users", json={"email": "carol@example.com", "password": "password", "operator": True}).json()
        with process.sign_in("carol@example.com") as other, ThreadPoolExecutor(2) as threads:
            asks = [
                threads.submit(client.patch, f"/users/{made['id']}", json={"operator": False}),
                threads.submit(other.patch, f"/users/{alice}", json={"status": "suspended"}),
            ]
            statuses = [ask.result().status_code for ask in asks]
    assert statuses.count(200) == 1, statuses


def test_a_link_sets_a_new_password_once(accounts: Service, people: People, operator: Person):
    """All sessions end, the link is spent, others of the same user too; nothing of it is in the database or the log."""
    person = people.make("ada", password=PASSWORD)
    offers = [operator.post(f"/users/{person.id}/password-reset") for _ in range(2)]
    assert [offer.status_code for offer in offers] == [201, 201]
    assert offers[0].json()["mailed"] is False
    assert offers[0].json()["link"].startswith("http://127.0.0.1:8001/reset-password#token=cf-rst-")
    tokens = [offer.json()["link"].partition("#token=")[2] for offer in offers]
    assert _confirm(people, tokens[0], "short").status_code == 422
    assert _confirm(people, tokens[0], person.email).status_code == 422
    assert _confirm(people, tokens[0], "another one").status_code == 204
    for token in (*tokens, "cf-rst-nonsense"):
        assert _confirm(people, token, "yet another one").status_code == 404
    assert person.get("/auth/me").status_code == 401
    assert people.post("/auth/login", json={"email": person.email, "password": PASSWORD}).status_code == 401
    assert people.post("/auth/login", json={"email": person.email, "password": "another one"}).status_code == 200
    log = accounts.process.log.read_text()
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        audited = str(connection.execute("SELECT * FROM audit_log WHERE object_id = %s", [person.id]).fetchall())
    assert "password.reset" in audited
    for token in tokens:
        assert token not in log + audited


def test_a_link_that_is_used_twice_at_once_works_once(people: People, operator: Person):
    """Exactly one new password counts."""
    person = people.make("ada", password=PASSWORD)
    token = operator.post(f"/users/{person.id}/password-reset").json()["link"].partition("#token=")[2]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda number: _confirm(people, token, f"password {number}"), range(4)))
    assert sorted(answer.status_code for answer in answers) == [204, 404, 404, 404]


def test_a_link_expires(accounts: Service, people: People, operator: Person):
    """After an hour by the database's clock; another email, or a suspension, ends it too."""
    person = people.make("ada", password=PASSWORD)
    tokens = [operator.post(f"/users/{person.id}/password-reset").json()["link"].partition("#token=")[2] for _ in range(2)]
    with psycopg.connect(accounts.database.conninfo("accounts"), autocommit=True) as connection:
        connection.execute(
            "UPDATE password_resets SET expires_at = expires_at - interval '1 hour' "
            "WHERE id = (SELECT id FROM password_resets WHERE user_id = %s ORDER BY id LIMIT 1)",
            [person.id],
        )
    assert _confirm(people, tokens[0], "another one").status_code == 404
    operator.patch(f"/users/{person.id}", json={"email": People.fresh_email()})
    assert _confirm(people, tokens[1], "another one").status_code == 404


def test_a_user_without_a_password_sets_one_by_the_link(people: People, operator: Person):
    """As made by an operator."""
    email = People.fresh_email()
    user = operator.post("/users", json={"email": email}).json()
    assert user["has_password"] is False
    assert people.post("/auth/login", json={"email": email, "password": PASSWORD}).status_code == 401
    token = operator.post(f"/users/{user['id']}/password-reset").json()["link"].partition("#token=")[2]
    assert _confirm(people, token, PASSWORD).status_code == 204
    assert people.post("/auth/login", json={"email": email, "password": PASSWORD}).status_code == 200
    assert operator.get(f"/users/{user['id']}").json()["has_password"] is True


def test_forgetting_a_password_without_mail_says_the_same_to_all(people: People):
    """Nothing is sent, nothing is told; an address that is none is refused."""
    person = people.make("ada", password=PASSWORD)
    answers = [people.post("/auth/password-reset", json={"email": email}) for email in (person.email, People.fresh_email())]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].text == answers[1].text
    assert people.post("/auth/password-reset", json={"email": "nobody"}).status_code == 422


def _confirm(people: People, token: str, password: str) -> httpx.Response:
    return people.post("/auth/password-reset/confirm", json={"token": token, "new_password": password})
