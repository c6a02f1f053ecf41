"""Service accounts: callers with a role that are no people, and owners of keys."""

from typing import Any

import pytest

from common.contracts.roles import Role
from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service
from tests.integration.accounts.people import Caller, People, Person


@pytest.fixture
def owner(people: People) -> Person:
    """A fresh user."""
    return people.make("owner")


@pytest.fixture
def path(people: People, owner: Person) -> str:
    """The service accounts of a fresh organization of the owner's."""
    return f"/organizations/{people.organization(owner)['id']}/service-accounts"


def create(caller: Caller, path: str, name: str = "Deployment", role: Role = "developer", **more: Any) -> dict[str, Any]:
    made = caller.post(path, json={"name": name, "role": role, **more})
    assert made.status_code == 201, made.text
    return made.json()


def give_token(people: People, caller: Caller, path: str, account: dict[str, Any], **fields: Any) -> tuple[str, Caller]:
    """Its identifier and who bears it."""
    made = caller.post(f"{path}/{account['id']}/tokens", json={"name": "Token", **fields})
    assert made.status_code == 201, made.text
    assert made.json()["token"].startswith("cf-sat-")
    return made.json()["id"], people.bearing(made.json()["token"])


def test_the_life_of_a_service_account(owner: Person, path: str):
    """Made, shown with its ETag, listed, changed under a condition, closed; then its name is free."""
    account = create(owner, path, limits={"daily_tokens": 5})
    assert (account["role"], account["status"], account["limits"]["daily_tokens"], account["version"]) == (
        "developer",
        "active",
        5,
        1,
    )
    one = f"{path}/{account['id']}"
    shown = owner.get(one)
    assert (shown.json(), shown.headers["etag"]) == (account, '"v1"')
    assert owner.get(path, params={"name": "Deployment"}).json() == {"data": [account], "next_cursor": None}

    assert owner.patch(one, json={"name": "X"}, headers={"if-match": '"v7"'}).status_code == 412
    changed = owner.patch(one, json={"name": "Rollout"}, headers={"if-match": '"v1"'})
    assert (changed.status_code, changed.headers["etag"], changed.json()["limits"]["daily_tokens"]) == (200, '"v2"', 5)
    assert owner.post(path, json={"name": "Rollout", "role": "viewer"}).status_code == 409

    assert owner.delete(one).json()["status"] == "ended"
    assert owner.delete(one).status_code == 200
    assert owner.patch(one, json={"name": "Again"}).status_code == 409
    assert owner.post(f"{one}/tokens", json={"name": "Again"}).status_code == 409
    assert owner.get(path).json()["data"] == []
    assert [item["id"] for item in owner.get(path, params={"status": "ended"}).json()["data"]] == [account["id"]]
    create(owner, path, "Rollout")


def test_it_acts_with_its_role_in_its_organization(people: People, owner: Person, path: str):
    """And is a stranger elsewhere, and no person anywhere."""
    account = create(owner, path, role="admin")
    _, robot = give_token(people, owner, path, account)
    organization = path.split("/")[2]
    assert robot.post(f"/organizations/{organization}/projects", json={"name": "By a robot"}).status_code == 201
    me = robot.get("/auth/me").json()
    assert (me["kind"], me["user_id"], me["email"], me["roles"]) == (
        "service_account",
        account["id"],
        None,
        {organization: "admin"},
    )
    elsewhere = people.organization(people.make("other"))["id"]
    assert robot.get(f"/organizations/{elsewhere}").status_code == 404
    for personal in ("/auth/sessions", "/auth/tokens"):
        assert robot.get(personal).status_code == 403
    assert robot.post("/organizations", json={"name": "Its own"}).status_code == 403
    assert robot.patch(f"/organizations/{organization}", json={"status": "suspended"}).status_code == 403


def test_nobody_gets_more_by_one(people: People, owner: Person, path: str):
    """Neither by making one, nor by a token of one, nor by raising one, nor by opening one again."""
    account = create(owner, path, role="admin")
    token = owner.post("/auth/tokens", json={"name": "Narrow", "scopes": ["service_accounts.manage", "service_accounts.read"]})
    narrow = people.bearing(token.json()["token"])
    assert narrow.post(path, json={"name": "Strong", "role": "admin"}).status_code == 403
    assert narrow.post(f"{path}/{account['id']}/tokens", json={"name": "Strong"}).status_code == 403
    weak = create(owner, path, "Weak", role="viewer")
    assert narrow.patch(f"{path}/{weak['id']}", json={"role": "admin"}).status_code == 403
    assert owner.patch(f"{path}/{account['id']}", json={"status": "suspended"}).status_code == 200
    assert narrow.patch(f"{path}/{account['id']}", json={"status": "active"}).status_code == 403
    assert narrow.patch(f"{path}/{weak['id']}", json={"name": "Weakest"}).status_code == 200
    assert owner.post(path, json={"name": "Boss", "role": "owner"}).status_code == 422


def test_tokens_of_one_are_listed_and_revoked(people: People, owner: Person, path: str):
    """One by one; another account's are like missing ones."""
    account, other = create(owner, path), create(owner, path, "Other")
    first, one = give_token(people, owner, path, account)
    second, two = give_token(people, owner, path, account, scopes=["keys.read"])
    listed = owner.get(f"{path}/{account['id']}/tokens").json()["data"]
    assert [(item["id"], item["scopes"]) for item in listed] == [(first, None), (second, ["keys.read"])]
    assert "token" not in listed[0]
    assert owner.delete(f"{path}/{other['id']}/tokens/{first}").status_code == 404
    assert owner.delete(f"{path}/{account['id']}/tokens/{first}").status_code == 204
    assert (one.get("/auth/me").status_code, two.get("/auth/me").status_code) == (401, 200)


def test_suspending_refuses_and_closing_ends(accounts: Service, people: People, owner: Person, path: str):
    """Its tokens at once, its keys by the directory; what was closed never opens again."""
    account = create(owner, path)
    _, robot = give_token(people, owner, path, account)
    organization = path.split("/")[2]
    project = owner.post(f"/organizations/{organization}/projects", json={"name": "Chat"}).json()["id"]
    key = robot.post(f"/projects/{project}/keys", json={"name": "Its own"})
    assert key.status_code == 201, key.text
    assert key.json()["owner"]["id"] == account["id"]
    entry = f"member.{organization}.{account['id']}"

    one = f"{path}/{account['id']}"
    assert owner.patch(one, json={"status": "suspended"}).json()["status"] == "suspended"
    assert robot.get("/auth/me").status_code == 401
    assert bucket.wait_for(accounts.bus, entry, version=2)["status"] == "suspended"
    assert owner.patch(one, json={"status": "active"}).json()["status"] == "active"
    assert robot.get("/auth/me").status_code == 200
    assert bucket.wait_for(accounts.bus, entry, version=3)["status"] == "active"

    assert owner.delete(one).status_code == 200
    assert robot.get("/auth/me").status_code == 401
    assert bucket.wait_for(accounts.bus, entry, version=4)["status"] == "revoked"
    assert owner.get(f"/projects/{project}/keys/{key.json()['id']}").json()["status"] == "revoked"


def test_limits_need_the_permission_for_limits(people: People, owner: Person, path: str):
    """Which billing has, who may change nothing else of it."""
    account = create(owner, path)
    billing = people.member(path.split("/")[2], "billing")
    one = f"{path}/{account['id']}"
    assert billing.patch(one, json={"limits": {"monthly_tokens": 7}}).json()["limits"]["monthly_tokens"] == 7
    assert billing.patch(one, json={"limits": {"monthly_tokens": 8}, "name": "X"}).status_code == 403


def test_what_happens_is_audited_without_secrets(people: People, owner: Person, path: str):
    """Each step under its own name."""
    account = create(owner, path)
    token_id, _ = give_token(people, owner, path, account)
    owner.patch(f"{path}/{account['id']}", json={"status": "suspended"})
    owner.patch(f"{path}/{account['id']}", json={"status": "active"})
    owner.delete(f"{path}/{account['id']}/tokens/{token_id}")
    owner.delete(f"{path}/{account['id']}")
    words = [action for action in people.actions_in(path.split("/")[2]) if action.startswith("service_account")]
    assert words == [
        "service_account.created",
        "service_account_token.created",
        "service_account.suspended",
        "service_account.reinstated",
        "service_account_token.revoked",
        "service_account.closed",
    ]
