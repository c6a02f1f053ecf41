"""Members of an organization: roles, suspension, removal, and that there is always an owner."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from common.contracts.api_keys import lookup_of
from common.contracts.roles import Role
from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service
from tests.integration.accounts.people import People, Person

NO_LIMITS = {
    "version": 0,
    "monthly_tokens": None,
    "monthly_cost_nanousd": None,
    "daily_tokens": None,
    "daily_cost_nanousd": None,
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "concurrency": None,
}


@pytest.fixture
def owner(people: People) -> Person:
    """A fresh user."""
    return people.make("owner")


@pytest.fixture
def organization(people: People, owner: Person) -> str:
    """A fresh organization of the owner's, by its id."""
    return people.organization(owner)["id"]


def _member(organization: str, person: Person) -> str:
    return f"/organizations/{organization}/members/{person.id}"


def _issue(client: Person, project: str, name: str = "Laptop") -> dict[str, Any]:
    issued = client.post(f"/projects/{project}/keys", json={"name": name})
    assert issued.status_code == 201, issued.text
    return issued.json()


def _project(owner: Person, organization: str) -> str:
    return owner.post(f"/organizations/{organization}/projects", json={"name": "Chat"}).json()["id"]


def test_members_are_listed_and_filtered(people: People, organization: str, owner: Person):
    """With email, name, role, status and limits; by role, by status, in pages; former members only when asked for."""
    members = {role: people.member(organization, role) for role in ("admin", "developer", "viewer")}
    path = f"/organizations/{organization}/members"
    listed = owner.get(path).json()["data"]
    assert [(member["email"], member["role"]) for member in listed] == [
        (person.email, role) for role, person in {"owner": owner, **members}.items()
    ]
    assert (listed[1]["name"], listed[1]["status"], listed[1]["limits"]) == ("Admin", "active", NO_LIMITS)
    assert owner.patch(_member(organization, members["viewer"]), json={"status": "suspended"}).status_code == 200
    assert owner.delete(_member(organization, members["developer"])).status_code == 200

    def emails(**query: Any) -> list[str]:
        return [member["email"] for member in owner.get(path, params=query).json()["data"]]

    assert emails() == [owner.email, members["admin"].email, members["viewer"].email]
    assert emails(status="suspended") == [members["viewer"].email]
    assert emails(status="ended") == [members["developer"].email]
    assert emails(role="admin", status="active") == [members["admin"].email]
    first = owner.get(path, params={"limit": 2}).json()
    rest = owner.get(path, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert ([member["email"] for member in first["data"] + rest["data"]], rest["next_cursor"]) == (emails(), None)
    assert owner.get(path, params={"role": "emperor"}).status_code == 422


def test_a_new_role_counts_at_once(people: People, organization: str, owner: Person):
    """With the token that was signed before; the answer carries the version as ETag, and an older one is refused."""
    viewer = people.member(organization, "viewer")
    path = _member(organization, viewer)
    shown = owner.get(path)
    assert viewer.post(f"/organizations/{organization}/projects", json={"name": "Mine"}).status_code == 403
    changed = owner.patch(path, json={"role": "admin"}, headers={"if-match": shown.headers["etag"]})
    assert (changed.status_code, changed.json()["role"], changed.headers["etag"]) == (200, "admin", '"v2"')
    assert viewer.post(f"/organizations/{organization}/projects", json={"name": "Mine"}).status_code == 201
    late = owner.patch(path, json={"role": "viewer"}, headers={"if-match": shown.headers["etag"]})
    assert late.status_code == 412
    assert owner.get(path).json()["role"] == "admin"


def test_suspending_a_member_closes_keys_and_access(accounts: Service, people: People, organization: str, owner: Person):
    """The record that the gateways join says so within the answer; reinstating opens both again."""
    developer = people.member(organization, "developer")
    entry = f"member.{organization}.{developer.id}"
    suspended = owner.patch(_member(organization, developer), json={"status": "suspended"}).json()
    assert suspended["status"] == "suspended"
    assert suspended["effective"]["gateways"] == 0
    record = bucket.wait_for(accounts.bus, entry, version=2)
    assert (record["status"], record["version"]) == ("suspended", 2)
    assert developer.get(f"/organizations/{organization}").status_code == 404
    assert owner.patch(_member(organization, developer), json={"status": "active"}).status_code == 200
    assert bucket.wait_for(accounts.bus, entry, version=3)["status"] == "active"
    assert developer.get(f"/organizations/{organization}").status_code == 200
    assert people.actions_in(organization)[-2:] == ["member.suspended", "member.reinstated"]


def test_removing_a_member_revokes_its_keys_for_ever(accounts: Service, people: People, organization: str, owner: Person):
    """The member's record and each of the keys; keys of others stay. Removing again changes nothing."""
    project = _project(owner, organization)
    developer = people.member(organization, "developer")
    keys = [_issue(developer, project, f"Laptop {number}") for number in range(2)]
    others = _issue(owner, project)
    removed = owner.delete(_member(organization, developer))
    assert (removed.status_code, removed.json()["status"]) == (200, "ended")
    assert bucket.wait_for(accounts.bus, f"member.{organization}.{developer.id}", version=2)["status"] == "revoked"
    for key in keys:
        assert bucket.wait_for(accounts.bus, f"key.{lookup_of(key['key'])}", version=2)["status"] == "revoked"
        assert owner.get(f"/projects/{project}/keys/{key['id']}").json()["status"] == "revoked"
    assert owner.get(f"/projects/{project}/keys/{others['id']}").json()["status"] == "active"
    assert developer.get(f"/organizations/{organization}").status_code == 404
    again = owner.delete(_member(organization, developer))
    assert (again.status_code, again.json()["version"]) == (200, removed.json()["version"])
    assert owner.patch(_member(organization, developer), json={"status": "active"}).status_code == 409
    assert sorted(people.actions_in(organization)[-3:]) == ["key.revoked", "key.revoked", "member.removed"]


def test_everybody_may_leave(accounts: Service, people: People, organization: str):
    """Whatever the role; once, for then one is a stranger. The gateways are told."""
    viewer = people.member(organization, "viewer")
    left = viewer.post(f"/organizations/{organization}/leave")
    assert (left.status_code, left.json()["status"]) == (200, "ended")
    assert bucket.wait_for(accounts.bus, f"member.{organization}.{viewer.id}", version=2)["status"] == "revoked"
    assert viewer.post(f"/organizations/{organization}/leave").status_code == 404
    assert people.actions_in(organization)[-1] == "member.left"


def test_the_last_owner_stays(people: People, organization: str, owner: Person):
    """Cannot leave, be removed, suspended or made something else, also not beside an owner who is suspended; nothing changes."""
    second = people.member(organization, "owner")
    assert owner.patch(_member(organization, second), json={"status": "suspended"}).status_code == 200
    mine = _member(organization, owner)
    refused = [
        owner.post(f"/organizations/{organization}/leave"),
        owner.delete(mine),
        owner.patch(mine, json={"status": "suspended"}),
        owner.patch(mine, json={"role": "admin"}),
    ]
    assert [answer.status_code for answer in refused] == [409] * 4
    assert {answer.json()["code"] for answer in refused} == {"conflict"}
    shown = owner.get(mine).json()
    assert (shown["role"], shown["status"], shown["version"]) == ("owner", "active", 1)
    assert owner.patch(mine, json={"limits": {"daily_tokens": 5}}).status_code == 200, "which takes nothing away"
    assert owner.patch(_member(organization, second), json={"status": "active"}).status_code == 200
    assert owner.post(f"/organizations/{organization}/leave").status_code == 200


@pytest.mark.parametrize("way", ["leave", "demote each other"])
def test_two_owners_at_once_cannot_both_go(accounts: Service, people: People, way: str):
    """Both requests are held at the rows of the members until both have begun; then exactly one succeeds."""
    statuses: list[int] = []
    deadline = time.monotonic() + 120
    while 503 in statuses or not statuses:  # a machine that stood still let a request wait for longer than it does
        assert time.monotonic() < deadline
        first = people.make("first")
        organization = people.organization(first)["id"]
        second = people.member(organization, "owner")
        asks = {
            "leave": [(person, "POST", f"/organizations/{organization}/leave", None) for person in (first, second)],
            "demote each other": [
                (person, "PATCH", _member(organization, other), {"role": "viewer"})
                for person, other in ((first, second), (second, first))
            ],
        }[way]
        statuses = [answer.status_code for answer in _at_once(accounts, organization, asks)]
    assert statuses.count(200) == 1
    assert set(statuses) - {200} <= {403, 409}, "the other one is the last owner, or none any more"
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        owners = "SELECT count(*) FROM memberships WHERE organization_id = %s AND role = 'owner' AND status = 'active'"
        assert connection.execute(owners, [organization]).fetchone() == (1,)


def _at_once(accounts: Service, organization: str, asks: list[tuple[Person, str, str, Any]]) -> list[httpx.Response]:
    """Send requests that meet: none goes on before each has come to a lock."""
    with (
        psycopg.connect(accounts.database.conninfo("accounts"), autocommit=True) as watch,
        psycopg.connect(accounts.database.conninfo("accounts")) as gate,
        ThreadPoolExecutor(len(asks)) as threads,
    ):
        gate.execute("SELECT 1 FROM memberships WHERE organization_id = %s FOR UPDATE", [organization])
        answers = [threads.submit(person.request, method, path, json=body) for person, method, path, body in asks]
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        deadline = time.monotonic() + 3
        while watch.execute(waiting).fetchone() != (len(asks),) and time.monotonic() < deadline:
            time.sleep(0.01)
        gate.rollback()
        return [answer.result(60) for answer in answers]


def test_nobody_gives_more_than_they_have(people: People, organization: str, owner: Person):
    """Owners are made and changed by owners alone; others change members with the permission, up to their own role."""
    admin, viewer = (people.member(organization, role) for role in ("admin", "viewer"))
    developer = people.member(organization, "developer")
    assert admin.patch(_member(organization, viewer), json={"role": "owner"}).status_code == 403
    assert admin.patch(_member(organization, admin), json={"role": "owner"}).status_code == 403
    for change in ({"role": "viewer"}, {"status": "suspended"}):
        assert admin.patch(_member(organization, owner), json=change).status_code == 403
    assert admin.delete(_member(organization, owner)).status_code == 403
    assert admin.post(f"/organizations/{organization}/transfer-ownership", json={"user_id": admin.id}).status_code == 403
    assert developer.patch(_member(organization, developer), json={"role": "admin"}).status_code == 403
    assert admin.patch(_member(organization, viewer), json={"role": "admin"}).status_code == 200
    assert owner.patch(_member(organization, viewer), json={"role": "owner"}).status_code == 200
    assert owner.get(_member(organization, owner)).json()["version"] == 1


@pytest.mark.parametrize(("role", "status"), [("viewer", 200), ("billing", 403), ("admin", 403)])
def test_a_token_with_scopes_gives_no_role_beyond_them(people: People, organization: str, owner: Person, role: Role, status: int):
    """Also when its owner could: a leaked token for members must not become one for everything."""
    scopes = ("members.manage", "organization.read", "members.read", "projects.read", "plans.read", "usage.read")
    member = people.member(organization, "developer")
    answer = people.scoped(owner, *scopes).patch(_member(organization, member), json={"role": role})
    assert answer.status_code == status


def test_limits_of_a_member_are_set_by_who_manages_limits(accounts: Service, people: People, organization: str, owner: Person):
    """They merge, their version rises with every change, and the gateways are told."""
    billing, developer = (people.member(organization, role) for role in ("billing", "developer"))
    path = _member(organization, developer)
    assert developer.patch(path, json={"limits": {"daily_tokens": 10**9}}).status_code == 403
    assert billing.patch(path, json={"status": "suspended"}).status_code == 403
    assert billing.patch(path, json={"limits": {"daily_tokens": 7}, "role": "viewer"}).status_code == 403
    assert billing.patch(path, json={"limits": {"daily_tokens": 7, "concurrency": 3}}).status_code == 200
    assert billing.patch(path, json={"limits": {"daily_tokens": 7}}).json()["limits"]["version"] == 1, "nothing has changed"
    changed = billing.patch(path, json={"limits": {"concurrency": None, "monthly_cost_nanousd": 10**10}}).json()
    assert changed["limits"] == {**NO_LIMITS, "version": 2, "daily_tokens": 7, "monthly_cost_nanousd": 10**10}
    record = bucket.wait_for(accounts.bus, f"member.{organization}.{developer.id}", version=4)
    assert record["limits"] == {"version": 2, "daily_tokens": 7, "monthly_cost_nanousd": 10**10}


def test_ownership_is_transferred(people: People, organization: str, owner: Person):
    """The other is owner and the caller admin, in one step; to active members only."""
    path = f"/organizations/{organization}/transfer-ownership"
    viewer, suspended = (people.member(organization, "viewer") for _ in range(2))
    owner.patch(_member(organization, suspended), json={"status": "suspended"})
    assert owner.post(path, json={"user_id": suspended.id}).status_code == 409
    assert owner.post(path, json={"user_id": owner.id}).status_code == 409
    assert owner.post(path, json={"user_id": people.make().id}).status_code == 404
    assert owner.post(path, json={"user_id": "somebody"}).status_code == 422
    done = owner.post(path, json={"user_id": viewer.id})
    assert done.status_code == 200, done.text
    body = done.json()
    assert (body["owner"]["user_id"], body["owner"]["role"]) == (viewer.id, "owner")
    assert (body["former_owner"]["user_id"], body["former_owner"]["role"]) == (owner.id, "admin")
    assert owner.post(path, json={"user_id": owner.id}).status_code == 403
    assert people.actions_in(organization)[-1] == "ownership.transferred"


def test_strangers_and_missing_members_are_answered_alike(people: People, organization: str, owner: Person):
    """A foreign organization, an unknown one, and somebody who never was a member: the same 404."""
    stranger = people.make("stranger")
    answers = [
        stranger.get(_member(organization, owner)),
        stranger.get(_member("01890000-0000-7000-8000-000000000000", owner)),
        stranger.post(f"/organizations/{organization}/leave"),
        stranger.delete(_member(organization, owner)),
        owner.get(_member(organization, stranger)),
        owner.patch(_member(organization, stranger), json={"role": "viewer"}),
        owner.delete(_member(organization, stranger)),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"role": "emperor"}, "role"),
        ({"role": None}, "role"),
        ({"status": "ended"}, "status"),
        ({"limits": {"daily_tokens": -1}}, "limits.daily_tokens"),
        ({"limits": {"yearly_tokens": 1}}, "limits.yearly_tokens"),
        ({"email": "new@example.com"}, "email"),
    ],
)
def test_a_wrong_change_is_refused_by_field(organization: str, owner: Person, change: dict[str, Any], field: str):
    """And changes nothing."""
    answer = owner.patch(_member(organization, owner), json=change)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert owner.get(_member(organization, owner)).json()["version"] == 1
