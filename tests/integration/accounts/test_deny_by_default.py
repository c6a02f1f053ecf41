"""Whatever is not expressly public is closed."""

import re
import uuid

import httpx
import psycopg
import pytest

from accounts.app import PUBLIC, PUBLIC_BELOW, build_app
from accounts.settings import Settings
from tests.integration.accounts.conftest import Service


def _routes() -> list[tuple[str, str]]:
    """Every method and path of the application, from its OpenAPI document and its own list of routes."""
    settings = Settings(database_password="x", nats_password="x", key_peppers="1:" + "ab" * 32, signing_key="cd" * 32)
    app = build_app(settings)
    documented = {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}
    assert len(documented) > 15
    return sorted(documented)


@pytest.mark.parametrize(("method", "path"), _routes())
def test_anonymous_callers_get_401_everywhere_but_on_public_paths(accounts: Service, method: str, path: str):
    """Also with a body that would be refused, and with ids that do not exist: strangers learn nothing."""
    if path in PUBLIC or path.startswith(PUBLIC_BELOW):
        return
    url = accounts.process.url + re.sub(r"\{[^}]+\}", str(uuid.uuid4()), path)
    for content in (b"", b"{", b"{}"):
        answer = httpx.request(method, url, content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthenticated"
        assert answer.headers["www-authenticate"] == "Bearer"


def test_paths_that_do_not_exist_are_closed_too(accounts: Service):
    """A stranger cannot find out which paths there are."""
    assert httpx.get(f"{accounts.process.url}/api/v1/secrets").status_code == 401
    assert accounts.alice.get("/secrets").status_code == 404


def test_somebody_elses_objects_are_answered_like_missing_ones(accounts: Service):
    """Every route with an identifier: 404 with the same body for foreign and for unknown objects."""
    mine, nothing = accounts.alice_seed, str(uuid.uuid4())
    key = accounts.alice.get(f"/projects/{mine['project_id']}/keys").json()["data"][0]["id"]
    for organization, project, key_id in ((mine["organization_id"], mine["project_id"], key), (nothing, nothing, nothing)):
        asks = [
            ("GET", f"/organizations/{organization}", None),
            ("PATCH", f"/organizations/{organization}", {"name": "Mine now"}),
            ("GET", f"/organizations/{organization}/projects", None),
            ("POST", f"/organizations/{organization}/projects", {"name": "Mine"}),
            ("GET", f"/projects/{project}", None),
            ("PATCH", f"/projects/{project}", {"name": "Mine now"}),
            ("GET", f"/projects/{project}/keys", None),
            ("POST", f"/projects/{project}/keys", {"name": "Mine"}),
            ("GET", f"/projects/{project}/keys/{key_id}", None),
            ("PATCH", f"/projects/{project}/keys/{key_id}", {"name": "Mine now"}),
            ("DELETE", f"/projects/{project}/keys/{key_id}", None),
        ]
        answers = [accounts.bob.request(method, path, json=body) for method, path, body in asks]
        assert [answer.status_code for answer in answers] == [404] * len(asks)
        assert len({answer.text for answer in answers}) == 1


def test_a_key_is_not_found_below_another_project(accounts: Service, project: dict[str, object]):
    """Also not when both projects are one's own."""
    key = accounts.alice.get(f"/projects/{accounts.alice_seed['project_id']}/keys").json()["data"][0]["id"]
    assert accounts.alice.get(f"/projects/{project['id']}/keys/{key}").status_code == 404


@pytest.mark.parametrize(("role", "issues", "patches"), [("developer", 201, 403), ("viewer", 403, 403), ("admin", 201, 200)])
def test_a_role_permits_what_the_table_says(accounts: Service, project: dict[str, object], role: str, issues: int, patches: int):
    """The database is asked, not the token: Bob's token was signed before he became a member."""
    membership = (accounts.bob_seed["user_id"], accounts.alice_seed["organization_id"])
    with psycopg.connect(accounts.database.conninfo("accounts"), autocommit=True) as connection:
        connection.execute("INSERT INTO memberships (user_id, organization_id, role) VALUES (%s, %s, %s)", [*membership, role])
        try:
            issued = accounts.bob.post(f"/projects/{project['id']}/keys", json={"name": "Bob's"})
            patched = accounts.bob.patch(f"/projects/{project['id']}", json={"name": "Renamed"})
        finally:
            connection.execute("DELETE FROM memberships WHERE user_id = %s AND organization_id = %s", membership)
    assert (issued.status_code, patched.status_code) == (issues, patches)
    assert accounts.bob.get(f"/projects/{project['id']}").status_code == 404, "the membership has ended, and the token with it"
