"""Sessions: refresh tokens that work once, and signing out."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import jwt
import psycopg
import pytest

from accounts.domain.opaque_tokens import make
from tests.integration.accounts.conftest import Service
from tests.integration.accounts.people import Caller, People

PASSWORD = "a good password"


@pytest.fixture
def email(people: People) -> str:
    """Of a fresh user with a password, who is nowhere signed in."""
    person = people.make("traveller", password=PASSWORD)
    assert person.post("/auth/logout").status_code == 204
    return person.email


def _sign_in(people: People, email: str) -> dict[str, Any]:
    answer = people.post("/auth/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return answer.json()


def _refresh(people: People, token: str) -> httpx.Response:
    return people.post("/auth/refresh", json={"refresh_token": token})


def _audit(accounts: Service, email: str) -> list[str]:
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        found = connection.execute("SELECT action FROM audit_log WHERE actor_name = %s ORDER BY id", [email])
        return [action for (action,) in found]


def test_a_refresh_token_brings_the_next_one(people: People, email: str):
    """Session and user stay; the access token before goes on working; the end of the session moves on."""
    first = _sign_in(people, email)
    second = _refresh(people, first["refresh_token"]).json()
    assert second["session_id"] == first["session_id"]
    assert second["refresh_token"] != first["refresh_token"]
    assert second["session_expires_at"] > first["session_expires_at"]
    for tokens in (first, second):
        assert people.bearing(tokens["access_token"]).get("/auth/me").json()["session_id"] == first["session_id"]
    claims = jwt.decode(second["access_token"], options={"verify_signature": False})
    assert claims["sid"] == first["session_id"]


def test_a_refresh_token_that_comes_twice_ends_the_session(accounts: Service, people: People, email: str):
    """Whoever has it: neither the thief nor the robbed can go on, other sessions do, and it is in the audit log."""
    stolen, elsewhere = _sign_in(people, email), _sign_in(people, email)
    successor = _refresh(people, stolen["refresh_token"]).json()
    assert _refresh(people, stolen["refresh_token"]).status_code == 401
    assert _refresh(people, successor["refresh_token"]).status_code == 401
    assert people.bearing(successor["access_token"]).get("/auth/me").status_code == 401
    assert people.bearing(elsewhere["access_token"]).get("/auth/me").status_code == 200
    assert _audit(accounts, email)[-3:] == ["auth.signed_in", "auth.signed_in", "auth.refresh_reused"]


def test_of_refreshes_at_the_same_moment_exactly_one_wins(accounts: Service, people: People, email: str):
    """However they meet, one gets the next token; those that waited for it are told so, and nothing ends by that."""
    session = _sign_in(people, email)
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection, ThreadPoolExecutor(6) as threads:
        connection.execute("SELECT 1 FROM sessions WHERE id = %s FOR UPDATE", [session["session_id"]])
        asked = [threads.submit(_refresh, people, session["refresh_token"]) for _ in range(6)]
        _wait_until_waiting(accounts, 6)
        connection.rollback()
        answers = [future.result() for future in asked]
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    winner = next(answer for answer in answers if answer.status_code == 200).json()
    assert _refresh(people, winner["refresh_token"]).status_code == 200


def _wait_until_waiting(accounts: Service, count: int) -> None:
    """Until so many transactions wait for the session's row."""
    deadline = time.monotonic() + 30
    with psycopg.connect(accounts.database.conninfo("accounts"), autocommit=True) as connection:
        while time.monotonic() < deadline:
            found = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
                "AND query LIKE '%refresh_digest%'"
            ).fetchone()
            if found is not None and found[0] >= count:
                return
            time.sleep(0.02)
    raise TimeoutError(f"{found} transactions wait")


@pytest.mark.parametrize("token", ["", "nonsense", make("refresh"), make("personal")])
def test_what_is_no_refresh_token_is_refused(people: People, token: str):
    """One answer for all that is unknown."""
    assert _refresh(people, token).status_code == (401 if token else 422)


def test_an_expired_session_cannot_be_refreshed(accounts: Service, people: People, email: str):
    """It is not in the list either."""
    session = _sign_in(people, email)
    with psycopg.connect(accounts.database.conninfo("accounts"), autocommit=True) as connection:
        connection.execute("UPDATE sessions SET expires_at = now() WHERE id = %s", [session["session_id"]])
    assert _refresh(people, session["refresh_token"]).status_code == 401


def test_signing_out_ends_this_session_alone(accounts: Service, people: People, email: str):
    """Access and refresh token are refused at once."""
    here, there = _sign_in(people, email), _sign_in(people, email)
    assert people.bearing(here["access_token"]).post("/auth/logout").status_code == 204
    assert people.bearing(here["access_token"]).get("/auth/me").status_code == 401
    assert _refresh(people, here["refresh_token"]).status_code == 401
    assert people.bearing(there["access_token"]).get("/auth/me").status_code == 200
    assert _audit(accounts, email)[-1] == "auth.signed_out"


def test_one_sees_and_ends_ones_sessions(people: People, email: str):
    """Each with where it came from; somebody else's are not there."""
    here, there = _sign_in(people, email), _sign_in(people, email)
    me = people.bearing(here["access_token"])
    listed = me.get("/auth/sessions").json()["data"]
    assert [session["id"] for session in listed] == [here["session_id"], there["session_id"]]
    assert {session["address"] for session in listed} == {"127.0.0.1"}
    assert people.make("stranger").delete(f"/auth/sessions/{there['session_id']}").status_code == 404
    assert me.delete(f"/auth/sessions/{there['session_id']}").status_code == 204
    assert me.delete(f"/auth/sessions/{there['session_id']}").status_code == 404
    assert people.bearing(there["access_token"]).get("/auth/me").status_code == 401
    assert [session["id"] for session in me.get("/auth/sessions").json()["data"]] == [here["session_id"]]


def test_signing_out_everywhere(people: People, email: str):
    """All sessions, this one too."""
    sessions = [_sign_in(people, email) for _ in range(3)]
    left = people.bearing(sessions[0]["access_token"]).post("/auth/logout-everywhere", json={})
    assert left.json() == {"sessions": 3, "personal_tokens": 0}
    for session in sessions:
        assert people.bearing(session["access_token"]).get("/auth/me").status_code == 401
        assert _refresh(people, session["refresh_token"]).status_code == 401


def test_neither_tokens_nor_passwords_are_stored_or_logged(accounts: Service, people: People, email: str):
    """Only digests are."""
    session = _sign_in(people, email)
    renewed = _refresh(people, session["refresh_token"]).json()
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'accounts'").fetchall()
        dump = "".join(str(connection.execute(f'SELECT * FROM "{name}"').fetchall()) for (name,) in tables)  # noqa: S608
    assert session["session_id"] in dump, "the search works"
    for secret in (session["refresh_token"], renewed["refresh_token"], renewed["access_token"], PASSWORD):
        assert secret not in dump
        assert secret not in accounts.process.log.read_text()


def test_changing_the_password_ends_the_other_sessions(accounts: Service, people: People, email: str):
    """The present one goes on; the old password is refused, the new one lets in."""
    here, there = _sign_in(people, email), _sign_in(people, email)
    me = people.bearing(here["access_token"])
    assert me.post("/auth/password", json={"current_password": "wrong", "new_password": "another one"}).status_code == 403
    changed = me.post("/auth/password", json={"current_password": PASSWORD, "new_password": "another one"})
    assert changed.status_code == 204, changed.text
    assert me.get("/auth/me").status_code == 200
    assert people.bearing(there["access_token"]).get("/auth/me").status_code == 401
    assert people.post("/auth/login", json={"email": email, "password": PASSWORD}).status_code == 401
    assert people.post("/auth/login", json={"email": email, "password": "another one"}).status_code == 200
    assert "password.changed" in _audit(accounts, email)


@pytest.mark.parametrize("new", ["short", "x" * 1025, "EMAIL"])
def test_a_bad_password_is_refused_without_echo(people: People, new: str):
    """Too short, too long, or the email itself."""
    person = people.make("careless", password=PASSWORD)
    new = person.email.upper() if new == "EMAIL" else new
    answer = person.post("/auth/password", json={"current_password": PASSWORD, "new_password": new})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["new_password"]
    assert new not in answer.text


def test_one_changes_ones_name(accounts: Service, people: People):
    """And nothing else of oneself."""
    person = people.make("ada")
    changed = person.patch("/auth/me", json={"name": "Ada L."})
    assert (changed.status_code, changed.json()["name"], changed.json()["email"]) == (200, "Ada L.", person.email)
    assert person.patch("/auth/me", json={"name": "Ada", "operator": True}).status_code == 422
    assert _audit(accounts, person.email) == ["user.updated"]


def test_a_token_with_scopes_is_not_the_person(people: People):
    """It neither signs out nor changes the password."""
    person = people.make("ada", password=PASSWORD)
    narrow: Caller = people.scoped(person, "projects.read")
    assert narrow.get("/auth/me").json()["scopes"] == ["projects.read"]
    assert narrow.get("/auth/sessions").status_code == 403
    assert narrow.post("/auth/logout-everywhere", json={}).status_code == 403
    assert narrow.patch("/auth/me", json={"name": "X"}).status_code == 403
    body = {"current_password": PASSWORD, "new_password": "another one"}
    assert narrow.post("/auth/password", json=body).status_code == 403
