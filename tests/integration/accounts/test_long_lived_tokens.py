"""Personal access tokens, and the exchange of long-lived tokens for short-lived ones."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from jwt import PyJWKSet

from accounts.outbound.access_tokens import MOST_LIVE
from common.contracts.access_tokens import verify
from tests.integration.accounts.conftest import Service
from tests.integration.accounts.people import People, Person

SOON = timedelta(days=30)


@pytest.fixture
def ada(people: People) -> Person:
    """A fresh user with an organization of her own."""
    return people.make("ada")


def issue(person: Person, **fields: Any) -> dict[str, Any]:
    made = person.post("/auth/tokens", json={"name": "Script", **fields})
    assert made.status_code == 201, made.text
    return made.json()


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def exchanged(people: People, token: str) -> httpx.Response:
    return people.post("/auth/token", json={"token": token})


def test_the_life_of_a_personal_token(people: People, ada: Person):
    """Its plaintext is shown once and works as its person; listed by its hint; revoked, it is refused at once and gone."""
    token = issue(ada)
    plaintext = token.pop("token")
    assert plaintext.startswith("cf-pat-")
    assert token["hint"] == f"{plaintext[:11]}…{plaintext[-4:]}"
    assert (token["scopes"], token["last_used_at"], token["revoked_at"]) == (None, None, None)
    one = f"/auth/tokens/{token['id']}"
    assert ada.get("/auth/tokens").json() == {"data": [token], "next_cursor": None}
    assert ada.get(one).json() == token

    script = people.bearing(plaintext)
    assert script.get("/auth/me").json()["user_id"] == ada.id
    assert ada.get("/auth/tokens").json()["data"][0]["last_used_at"] is not None

    assert ada.delete(one).status_code == 204
    assert script.get("/auth/me").status_code == 401
    assert (ada.get(one).status_code, ada.delete(one).status_code) == (404, 404)
    assert ada.get("/auth/tokens").json()["data"] == []


def test_scopes_narrow_what_a_person_may(people: People, ada: Person):
    """And nothing widens it: a scope that the role lacks gives nothing."""
    organization = people.organization(ada)["id"]
    narrow = people.bearing(issue(ada, scopes=["organization.read"])["token"])
    assert narrow.get(f"/organizations/{organization}").status_code == 200
    assert narrow.patch(f"/organizations/{organization}", json={"name": "Mine"}).status_code == 403
    assert narrow.get(f"/organizations/{organization}/projects").status_code == 403

    viewer = people.member(organization, "viewer")
    wide = people.bearing(issue(viewer, scopes=["projects.manage"])["token"])
    assert wide.post(f"/organizations/{organization}/projects", json={"name": "No"}).status_code == 403


def test_a_token_makes_no_token(people: People, ada: Person):
    """Nor does what it was exchanged for: who steals one cannot outlive its revocation."""
    plaintext = issue(ada)["token"]
    jwt = exchanged(people, plaintext).json()["access_token"]
    for bearer in (plaintext, jwt):
        refused = people.bearing(bearer).post("/auth/tokens", json={"name": "Child"})
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


def test_tokens_end(people: People, ada: Person):
    """In 90 days if nothing is said, in a year at most; not in the past, and not never."""
    now = datetime.now(UTC)
    usual = moment(issue(ada)["expires_at"]) - now
    assert timedelta(days=89) < usual < timedelta(days=91)
    wanted = (now + SOON).replace(microsecond=0)
    assert moment(issue(ada, expires_at=wanted.isoformat())["expires_at"]) == wanted
    for wrong in ((now - SOON).isoformat(), (now + 20 * SOON).isoformat(), None):
        refused = ada.post("/auth/tokens", json={"name": "Script", "expires_at": wrong})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "expires_at")


def test_an_expired_token_is_refused(accounts: Service, people: People, ada: Person):
    """Directly and for exchange."""
    token = issue(ada)
    with psycopg.connect(accounts.database.conninfo("accounts"), autocommit=True) as connection:
        connection.execute("UPDATE access_tokens SET expires_at = now() WHERE id = %s", [token["id"]])
    assert people.bearing(token["token"]).get("/auth/me").status_code == 401
    assert exchanged(people, token["token"]).status_code == 401


def test_unknown_scopes_are_named(ada: Person):
    """And none at all is not the same as all."""
    for wrong in (["keys.steal"], []):
        refused = ada.post("/auth/tokens", json={"name": "Script", "scopes": wrong})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"].startswith("scopes")


def test_others_tokens_are_like_missing_ones(people: People, ada: Person):
    """Nobody learns of them, or revokes them."""
    token = issue(ada)
    eve = people.make("eve")
    assert eve.get(f"/auth/tokens/{token['id']}").status_code == 404
    assert eve.delete(f"/auth/tokens/{token['id']}").status_code == 404
    assert eve.get("/auth/tokens").json()["data"] == []
    assert people.bearing(token["token"]).get("/auth/me").status_code == 200


def test_there_is_a_most(accounts: Service, ada: Person):
    """Expired and revoked ones do not count."""
    with psycopg.connect(accounts.database.conninfo("accounts"), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO access_tokens (id, user_id, name, digest, hint, expires_at)"
            " SELECT gen_random_uuid(), %s, 'Many', gen_random_uuid(), '', now() + interval '1 day' FROM generate_series(1, %s)",
            [ada.id, MOST_LIVE],
        )
        assert ada.post("/auth/tokens", json={"name": "Too many"}).status_code == 409
        connection.execute("UPDATE access_tokens SET expires_at = now() WHERE name = 'Many' AND user_id = %s", [ada.id])
    issue(ada)


def test_an_exchanged_token_carries_roles_and_scopes(accounts: Service, people: People, ada: Person):
    """It is verified without asking anybody, and ends at accounts with the token that it came from."""
    organization = people.organization(ada)["id"]
    token = issue(ada, scopes=["usage.read", "organization.read"])
    answer = exchanged(people, token["token"])
    assert (answer.status_code, answer.json()["token_type"]) == (200, "Bearer")
    jwt = answer.json()["access_token"]
    keys = PyJWKSet.from_dict(httpx.get(f"{accounts.process.url}/.well-known/jwks.json").json())
    identity = verify(jwt, keys)
    assert (identity.user_id, identity.roles, identity.kind) == (ada.id, {organization: "owner"}, "user")
    assert identity.scopes == ("organization.read", "usage.read")
    assert identity.may("usage.read", organization)
    assert not identity.may("projects.read", organization)

    bearing = people.bearing(jwt)
    assert bearing.get(f"/organizations/{organization}").status_code == 200
    assert bearing.get(f"/organizations/{organization}/projects").status_code == 403
    assert ada.delete(f"/auth/tokens/{token['id']}").status_code == 204
    assert bearing.get(f"/organizations/{organization}").status_code == 401
    assert exchanged(people, token["token"]).status_code == 401


def test_a_bearer_exchanges_itself(people: People, ada: Person):
    """Without a body; what it gets is its person, by that token."""
    plaintext = issue(ada, scopes=["organization.read"])["token"]
    answer = people.bearing(plaintext).post("/auth/token")
    assert answer.status_code == 200, answer.text
    me = people.bearing(answer.json()["access_token"]).get("/auth/me").json()
    assert (me["user_id"], me["scopes"]) == (ada.id, ["organization.read"])


def test_only_long_lived_tokens_are_exchanged(people: People, ada: Person):
    """An access token is not prolonged by itself, neither said nor borne; and nobody gets one for nothing."""
    jwt = exchanged(people, issue(ada)["token"]).json()["access_token"]
    for wrong in (jwt, "cf-pat-", "cf-ref-" + "a" * 49):
        assert exchanged(people, wrong).status_code in (401, 422)
        assert people.bearing(wrong).post("/auth/token").status_code == 401
    assert ada.post("/auth/token").status_code == 401
    assert people.post("/auth/token").status_code == 401
