"""Organizations: limits, who may change what, and what the gateways are told."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from common.contracts.directory import LIMIT_NAMES
from common.contracts.roles import Role
from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service
from tests.integration.accounts.people import ROLES, People, Person


@pytest.fixture
def owner(people: People) -> Person:
    """A fresh user."""
    return people.make("owner")


@pytest.fixture
def organization(people: People, owner: Person) -> str:
    """A fresh organization of the owner's, by its id."""
    return people.organization(owner)["id"]


def test_limits_are_given_at_the_creation(accounts: Service, owner: Person):
    """All of them, for the organization and for end users; percentages are sorted and distinct. The gateways are told."""
    limits = {name: number for number, name in enumerate(LIMIT_NAMES, 1)}
    body = {"name": "Limited", "limits": limits, "end_user_limits": {"daily_tokens": 9}, "alert_percents": [100, 50, 200, 50, 1]}
    made = owner.post("/organizations", json=body)
    assert made.status_code == 201, made.text
    organization = made.json()
    assert organization["limits"] == {**limits, "version": 1}
    assert (organization["end_user_limits"]["daily_tokens"], organization["end_user_limits"]["version"]) == (9, 1)
    assert organization["alert_percents"] == [1, 50, 100, 200]
    record = bucket.wait_for(accounts.bus, f"organization.{organization['id']}")
    assert record["limits"] == {**limits, "version": 1}
    assert (record["end_user_limits"], record["alert_percents"]) == ({"version": 1, "daily_tokens": 9}, [1, 50, 100, 200])


def test_another_time_zone_counts_from_a_later_month_on(accounts: Service, owner: Person, organization: str):
    """What counts until then is told, to the client and to the gateways; going back calls it off."""
    path = f"/organizations/{organization}"
    changed = owner.patch(path, json={"time_zone": "Asia/Tokyo"}).json()
    assert (changed["time_zone"], changed["earlier_time_zone"]) == ("Asia/Tokyo", "UTC")
    begins = datetime.fromisoformat(changed["time_zone_from"])
    assert begins > datetime.now(UTC)
    assert (begins.day, begins.hour) == (1, 0)
    record = bucket.wait_for(accounts.bus, f"organization.{organization}", version=2)
    assert (record["time_zone"], record["earlier_time_zone"]) == ("Asia/Tokyo", "UTC")
    assert record["time_zone_from"] == begins.timestamp() * 1000
    again = owner.patch(path, json={"time_zone": "Europe/Berlin"}).json()
    assert (again["time_zone"], again["earlier_time_zone"]) == ("Europe/Berlin", "UTC")
    back = owner.patch(path, json={"time_zone": "UTC"}).json()
    assert (back["time_zone"], back["earlier_time_zone"], back["time_zone_from"]) == ("UTC", None, None)


def test_a_change_of_limits_merges_and_raises_their_version(accounts: Service, owner: Person, organization: str):
    """What is left out stays, null takes a limit away, and only what differs counts; the two kinds have versions of their own."""
    path = f"/organizations/{organization}"
    answers = [
        owner.patch(path, json=change)
        for change in (
            {"limits": {"monthly_tokens": 100, "concurrency": 2}},
            {"limits": {"monthly_tokens": 100}, "name": "Other"},
            {"limits": {"concurrency": None}, "end_user_limits": {"requests_per_minute": 5}},
            {"alert_percents": []},
        )
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    bodies = [answer.json() for answer in answers]
    assert [body["limits"]["version"] for body in bodies] == [1, 1, 2, 2]
    assert [body["end_user_limits"]["version"] for body in bodies] == [0, 0, 1, 1]
    assert (bodies[-1]["limits"]["monthly_tokens"], bodies[-1]["limits"]["concurrency"]) == (100, None)
    assert owner.get(path).json()["limits"] == bodies[-1]["limits"]
    record = bucket.wait_for(accounts.bus, f"organization.{organization}", version=5)
    assert record["limits"] == {"version": 2, "monthly_tokens": 100}
    assert record["end_user_limits"] == {"version": 1, "requests_per_minute": 5}


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ({"name": "Renamed"}, {"owner", "admin"}),
        ({"time_zone": "Asia/Tokyo"}, {"owner", "admin"}),
        ({"limits": {"daily_tokens": 5}}, {"owner", "admin", "billing"}),
        ({"end_user_limits": {"daily_tokens": 5}}, {"owner", "admin", "billing"}),
        ({"alert_percents": [80]}, {"owner", "admin", "billing"}),
        ({"enforcement": "shadow"}, {"owner", "admin", "billing"}),
        ({"status": "suspended"}, {"owner"}),
        ({"status": "suspended", "limits": {"daily_tokens": 5}}, {"owner"}),
        ({"name": "Renamed", "limits": {"daily_tokens": 5}}, {"owner", "admin"}),
        ({}, {"owner", "admin"}),
    ],
)
def test_each_kind_of_change_has_its_permission(people: People, organization: str, change: dict[str, Any], allowed: set[Role]):
    """Closing is for owners, limits also for billing; a change of several kinds needs all of them."""
    done = {
        role
        for role in ROLES
        if people.member(organization, role).patch(f"/organizations/{organization}", json=change).status_code == 200
    }
    assert done == allowed


def test_suspending_an_organization_tells_the_gateways(accounts: Service, owner: Person, organization: str):
    """Within the answer, which says on how many of them it is effective; so does reinstating."""
    path, entry = f"/organizations/{organization}", f"organization.{organization}"
    for version, status in ((2, "suspended"), (3, "active")):
        changed = owner.patch(path, json={"status": status})
        assert changed.status_code == 200
        assert (changed.json()["status"], changed.headers["etag"]) == (status, f'"v{version}"')
        assert (changed.json()["effective"]["gateways"], changed.json()["effective"]["pending"]) == (0, False)
        record = bucket.wait_for(accounts.bus, entry, version=version)
        assert record["status"] == status


def test_the_list_is_of_ones_own_and_filtered(people: People, owner: Person):
    """By status and by slug; also with a token that may read organizations, not with one that may not."""
    open_one, closed, left = (people.organization(owner, f"Org {uuid.uuid4()}") for _ in range(3))
    other = people.member(left["id"], "owner")
    assert owner.post(f"/organizations/{left['id']}/leave").status_code == 200
    assert owner.patch(f"/organizations/{closed['id']}", json={"status": "suspended"}).status_code == 200

    def listed(**query: str) -> list[str]:
        return [item["id"] for item in owner.get("/organizations", params=query).json()["data"]]

    assert listed() == [open_one["id"], closed["id"]]
    assert listed(status="suspended") == [closed["id"]]
    assert listed(slug=open_one["slug"]) == [open_one["id"]]
    assert listed(slug=left["slug"]) == []
    assert owner.get("/organizations", params={"status": "ended"}).status_code == 422
    assert [item["id"] for item in other.get("/organizations").json()["data"]] == [left["id"]]
    reading = people.scoped(owner, "organization.read").get("/organizations")
    assert (reading.status_code, len(reading.json()["data"])) == (200, 2)
    assert people.scoped(owner, "keys.read").get("/organizations").status_code == 403


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"limits": {"monthly_tokens": -1}}, "limits.monthly_tokens"),
        ({"limits": {"version": 3}}, "limits.version"),
        ({"limits": None}, "limits"),
        ({"end_user_limits": {"daily_tokens": 2**63}}, "end_user_limits.daily_tokens"),
        ({"alert_percents": [0]}, "alert_percents.0"),
        ({"alert_percents": [201]}, "alert_percents.0"),
        ({"enforcement": "never"}, "enforcement"),
        ({"alert_percents": list(range(1, 22))}, "alert_percents"),
        ({"status": "revoked"}, "status"),
    ],
)
def test_a_wrong_change_is_refused_by_field(owner: Person, organization: str, change: dict[str, Any], field: str):
    """And changes nothing."""
    answer = owner.patch(f"/organizations/{organization}", json=change)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert owner.get(f"/organizations/{organization}").json()["version"] == 1
