"""Lists: pages in a stable order, and filters."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from devstack.openapi import documents
from tests.integration.accounts.people import Caller, People, Person

ROUNDS = 5
SHORT = ("/auth/oidc", "/domains", "/group-roles")
"""Lists of what an operator has configured by hand."""


def walk(caller: Caller, path: str, limit: int, between: Callable[[], Any] = lambda: None, **only: str) -> list[dict[str, Any]]:
    """All pages one after the other; `between` is called before each next one."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = caller.get(path, params={"limit": str(limit), **cursor, **only})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["data"]) <= limit
        found += page["data"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}
        between()


@pytest.fixture
def owner(people: People) -> Person:
    return people.make("owner", operator=True)


@pytest.fixture
def organization(owner: Person) -> dict[str, Any]:
    return People.organization(owner)


def made(answer: httpx.Response) -> str:
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def makers(people: People, owner: Person, organization: str) -> dict[str, tuple[str, str, Callable[[int], str]]]:
    """For each list: its path, the name of an item's identifier, and what makes an item."""
    root = f"/organizations/{organization}"
    project = made(owner.post(f"{root}/projects", json={"name": "Home of keys"}))
    keys = f"/projects/{project}/keys"
    invitations = f"{root}/invitations"
    return {
        "projects": (f"{root}/projects", "id", lambda n: made(owner.post(f"{root}/projects", json={"name": f"P {n}"}))),
        "plans": (f"{root}/plans", "id", lambda n: made(owner.post(f"{root}/plans", json={"name": f"Plan {n}"}))),
        "keys": (keys, "id", lambda n: made(owner.post(keys, json={"name": f"K {n}"}))),
        "members": (f"{root}/members", "user_id", lambda _: people.member(organization, "viewer").id),
        "invitations": (
            invitations,
            "id",
            lambda _: made(owner.post(invitations, json={"email": people.fresh_email(), "role": "viewer"})),
        ),
        "organizations": ("/organizations", "id", lambda n: made(owner.post("/organizations", json={"name": f"O {n}"}))),
        "users": ("/users", "id", lambda _: made(owner.post("/users", json={"email": people.fresh_email()}))),
    }


@pytest.mark.parametrize("name", ["projects", "plans", "keys", "members", "invitations", "organizations", "users"])
def test_pages_miss_nothing_and_repeat_nothing_while_the_list_grows(
    people: People, owner: Person, organization: dict[str, Any], name: str
):
    """What was there at the beginning comes once, in the same order whatever the size of the pages."""
    path, identifier, make = makers(people, owner, organization["id"])[name]
    there = [make(number) for number in range(ROUNDS)]
    added: list[str] = []
    seen = [
        item[identifier] for item in walk(owner, path, 2, lambda: len(added) < ROUNDS and added.append(make(100 + len(added))))
    ]
    assert len(seen) == len(set(seen))
    assert set(there) <= set(seen)
    assert seen == sorted(seen)
    again = [item[identifier] for item in walk(owner, path, 200)]
    assert [one for one in again if one in seen] == seen


def test_projects_by_name_slug_status_and_environment(owner: Person, organization: dict[str, Any]):
    """The name by any part of it, taken literally, whatever its case; several filters hold together."""
    path = f"/organizations/{organization['id']}/projects"
    search = made(owner.post(path, json={"name": "Search 100%", "slug": "search", "environment": "production"}))
    other = made(owner.post(path, json={"name": "Search 1000", "environment": "staging"}))
    assert owner.patch(f"/projects/{other}", json={"status": "suspended"}).status_code == 200

    def found(**only: str) -> list[str]:
        return [item["id"] for item in walk(owner, path, 1, **only)]

    assert found(name="SEARCH") == [search, other]
    assert found(name="100%") == [search]
    assert found(slug="search") == [search]
    assert found(status="suspended") == [other]
    assert found(environment="production", name="sea") == [search]
    assert found(environment="production", status="suspended") == []


def test_members_by_role_status_and_email(people: People, owner: Person, organization: dict[str, Any]):
    """The email whatever its case, and only within the organization."""
    path = f"/organizations/{organization['id']}/members"
    viewer, admin = people.member(organization["id"], "viewer"), people.member(organization["id"], "admin")
    assert owner.patch(f"{path}/{viewer.id}", json={"status": "suspended"}).status_code == 200

    def found(**only: str) -> list[str]:
        return [item["user_id"] for item in walk(owner, path, 1, **only)]

    assert found(email=admin.email.upper()) == [admin.id]
    assert found(role="admin") == [admin.id]
    assert found(status="suspended") == [viewer.id]
    assert found(status="suspended", email=admin.email) == []
    assert found(email=people.make().email) == []


def test_invitations_by_status_and_email(people: People, owner: Person, organization: dict[str, Any]):
    """Of one person, all that there ever were; those that are open."""
    path = f"/organizations/{organization['id']}/invitations"
    email = people.fresh_email()
    first, second = (made(owner.post(path, json={"email": email, "role": "viewer"})) for _ in range(2))
    other = made(owner.post(path, json={"email": people.fresh_email(), "role": "viewer"}))

    def found(**only: str) -> list[str]:
        return [item["id"] for item in walk(owner, path, 1, **only)]

    assert found(email=email.upper()) == [first, second]
    assert found(email=email, status="open") == [second]
    assert found(status="open") == [second, other]


def test_every_list_has_pages():
    """Whatever answers `data` also answers `next_cursor`, and takes `limit` and `cursor`, but for what is short by its nature."""
    document = documents()["accounts"]
    lists = 0
    for path, operations in document["paths"].items():
        schema = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {}).get("application/json", {})
        name = schema.get("schema", {}).get("$ref", "").rpartition("/")[2]
        properties = document["components"]["schemas"].get(name, {}).get("properties", {})
        if "data" in properties and not path.endswith(SHORT):
            lists += 1
            parameters = {parameter["name"] for parameter in operations["get"].get("parameters", [])}
            assert {"limit", "cursor"} <= parameters, path
            assert "next_cursor" in properties, path
    assert lists >= 9
