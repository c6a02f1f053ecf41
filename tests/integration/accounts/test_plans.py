"""Plans over HTTP: inherited, overridden, changed under projects that follow at once."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service

MANY = 2_500


@pytest.fixture
def organization(accounts: Service) -> str:
    """An organization of Alice's without anything in it."""
    made = accounts.alice.post("/organizations", json={"name": f"Plans {uuid.uuid4()}"})
    assert made.status_code == 201, made.text
    return made.json()["id"]


def make_plan(accounts: Service, organization: str, name: str = "Standard", **fields: Any) -> dict[str, Any]:
    made = accounts.alice.post(f"/organizations/{organization}/plans", json={"name": name, **fields})
    assert made.status_code == 201, made.text
    return made.json()


def make_project(accounts: Service, organization: str, **fields: Any) -> dict[str, Any]:
    made = accounts.alice.post(f"/organizations/{organization}/projects", json={"name": "On a plan", **fields})
    assert made.status_code == 201, made.text
    return made.json()


def change(accounts: Service, path: str, **fields: Any) -> dict[str, Any]:
    answer = accounts.alice.patch(path, json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def set_limits(limits: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in limits.items() if value is not None and name != "version"}


def test_the_life_of_a_plan(accounts: Service, organization: str):
    """Made, shown with its ETag, listed, changed under a condition, deleted; then it is like one that never was."""
    path = f"/organizations/{organization}/plans"
    plan = make_plan(accounts, organization, limits={"monthly_tokens": 10, "concurrency": None}, alert_percents=[90, 50])
    assert (set_limits(plan["limits"]), plan["alert_percents"], plan["version"]) == ({"monthly_tokens": 10}, [50, 90], 1)
    shown = accounts.alice.get(f"{path}/{plan['id']}")
    assert (shown.json(), shown.headers["etag"]) == (plan, '"v1"')
    assert accounts.alice.get(path).json() == {"data": [plan], "next_cursor": None}

    stale = {"if-match": '"v7"'}
    assert accounts.alice.patch(f"{path}/{plan['id']}", json={"name": "X"}, headers=stale).status_code == 412
    fresh = {"if-match": '"v1"'}
    changed = accounts.alice.patch(f"{path}/{plan['id']}", json={"limits": {"daily_tokens": 3}}, headers=fresh)
    assert (changed.status_code, changed.headers["etag"]) == (200, '"v2"')
    assert set_limits(changed.json()["limits"]) == {"monthly_tokens": 10, "daily_tokens": 3}
    assert changed.json()["limits"]["version"] == plan["limits"]["version"] + 1

    assert accounts.alice.delete(f"{path}/{plan['id']}", headers=fresh).status_code == 412
    assert accounts.alice.delete(f"{path}/{plan['id']}").status_code == 204
    assert accounts.alice.get(f"{path}/{plan['id']}").status_code == 404
    assert accounts.alice.delete(f"{path}/{plan['id']}").status_code == 404


def test_names_of_plans_are_unique_in_an_organization(accounts: Service, organization: str):
    """At creation and by renaming; another organization may have the same."""
    path = f"/organizations/{organization}/plans"
    make_plan(accounts, organization)
    other = make_plan(accounts, organization, "Other")
    for answer in (
        accounts.alice.post(path, json={"name": "Standard"}),
        accounts.alice.patch(f"{path}/{other['id']}", json={"name": "Standard"}),
    ):
        assert (answer.status_code, answer.json()["field"]) == (409, "name")
    elsewhere = accounts.alice.post("/organizations", json={"name": f"Elsewhere {uuid.uuid4()}"}).json()["id"]
    make_plan(accounts, elsewhere)


def test_a_plan_belongs_to_its_organization(accounts: Service, organization: str):
    """In another one it is neither found nor can a project have it; strangers learn nothing."""
    plan = make_plan(accounts, organization)["id"]
    other = accounts.alice.post("/organizations", json={"name": f"Other {uuid.uuid4()}"}).json()["id"]
    assert accounts.alice.get(f"/organizations/{other}/plans/{plan}").status_code == 404
    refused = accounts.alice.post(f"/organizations/{other}/projects", json={"name": "X", "plan_id": plan})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "plan_id")
    for method, path, body in (
        ("GET", "", None),
        ("POST", "", {"name": "Mine"}),
        ("GET", f"/{plan}", None),
        ("PATCH", f"/{plan}", {"name": "Mine"}),
        ("DELETE", f"/{plan}", None),
    ):
        assert accounts.bob.request(method, f"/organizations/{organization}/plans{path}", json=body).status_code == 404


def test_a_plan_in_use_stays(accounts: Service, organization: str):
    """Until its last project has another one or none."""
    plan = make_plan(accounts, organization)["id"]
    project = make_project(accounts, organization, plan_id=plan)
    assert accounts.alice.delete(f"/organizations/{organization}/plans/{plan}").status_code == 409
    change(accounts, f"/projects/{project['id']}", plan_id=None)
    assert accounts.alice.delete(f"/organizations/{organization}/plans/{plan}").status_code == 204


def test_a_project_inherits_and_overrides(accounts: Service, organization: str):
    """Overrides win, null is one; dropping it follows the plan again; each change of what is in force has a version."""
    plan = make_plan(
        accounts, organization, limits={"monthly_tokens": 100, "daily_tokens": 10, "concurrency": 5}, alert_percents=[80]
    )
    project = make_project(accounts, organization, plan_id=plan["id"], limits={"daily_tokens": None, "concurrency": 2})
    assert set_limits(project["limits"]) == {"monthly_tokens": 100, "concurrency": 2}
    assert project["limit_overrides"] == {"daily_tokens": None, "concurrency": 2}
    assert (project["alert_percents"], project["limits"]["version"]) == ([80], 1)

    path = f"/projects/{project['id']}"
    dropped = change(accounts, path, inherit=["concurrency"])
    assert set_limits(dropped["limits"]) == {"monthly_tokens": 100, "concurrency": 5}
    assert (dropped["limit_overrides"], dropped["limits"]["version"]) == ({"daily_tokens": None}, 2)
    own = change(accounts, path, alert_percents=[50])
    assert (own["alert_percents"], own["limits"]["version"]) == ([50], 2)
    back = change(accounts, path, inherit=["daily_tokens", "alert_percents", "tokens_per_minute"])
    assert (back["alert_percents"], back["limit_overrides"], back["limits"]["version"]) == ([80], {}, 3)
    record = bucket.wait_for(accounts.bus, f"project.{project['id']}", version=back["version"])
    assert record["limits"] == {"version": 3, "monthly_tokens": 100, "daily_tokens": 10, "concurrency": 5}
    assert record["alert_percents"] == [80]


def test_switching_plans_never_lowers_the_limits_version(accounts: Service, organization: str):
    """Whatever versions the plans have; equal limits keep it."""
    old = make_plan(accounts, organization, limits={"monthly_tokens": 100})
    for tokens in range(101, 106):
        change(accounts, f"/organizations/{organization}/plans/{old['id']}", limits={"monthly_tokens": tokens})
    new = make_plan(accounts, organization, "New", limits={"monthly_tokens": 5})
    same = make_plan(accounts, organization, "Same", limits={"monthly_tokens": 5})
    project = make_project(accounts, organization, plan_id=old["id"])
    path = f"/projects/{project['id']}"
    versions = [
        change(accounts, path, plan_id=plan)["limits"]["version"] for plan in (new["id"], same["id"], None, old["id"], old["id"])
    ]
    assert versions == [2, 2, 3, 4, 4]


def test_a_change_of_a_plan_reaches_its_projects(accounts: Service, organization: str):
    """Those whose limits change are announced with a new version; who overrides it all, and who is on another plan, is not."""
    plan = make_plan(accounts, organization, limits={"monthly_tokens": 100})
    follower, overrider, other = (
        make_project(accounts, organization, plan_id=plan["id"]),
        make_project(accounts, organization, plan_id=plan["id"], limits={"monthly_tokens": 7}),
        make_project(accounts, organization),
    )
    change(accounts, f"/organizations/{organization}/plans/{plan['id']}", limits={"monthly_tokens": 200})
    record = bucket.wait_for(accounts.bus, f"project.{follower['id']}", version=2)
    assert record["limits"] == {"version": 2, "monthly_tokens": 200}
    shown = accounts.alice.get(f"/projects/{follower['id']}").json()
    assert (shown["limits"]["monthly_tokens"], shown["version"]) == (200, 2)
    for untouched in (overrider, other):
        assert accounts.alice.get(f"/projects/{untouched['id']}").json() == untouched
    change(accounts, f"/organizations/{organization}/plans/{plan['id']}", name="Renamed")
    assert accounts.alice.get(f"/projects/{follower['id']}").json()["version"] == 2, "a name is nothing to a project"


def test_thousands_of_projects_follow_in_one_transaction(accounts: Service, organization: str):
    """All are changed, versioned and announced, and the relay carries them into the bucket."""
    plan = make_plan(accounts, organization, limits={"monthly_tokens": 100})
    with psycopg.connect(accounts.database.conninfo("accounts"), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO projects (id, organization_id, plan_id, name, slug, limits, limits_version, budget_mode, on_no_grant,"
            " revoked_streams, cache, tier) SELECT gen_random_uuid(), %s, %s, 'P', 'p-' || n, '{\"monthly_tokens\": 100}', 4,"
            " 'strict', 'closed', 'cut', '{}', '{}' FROM generate_series(1, %s) n",
            [organization, plan["id"], MANY],
        )
        change(accounts, f"/organizations/{organization}/plans/{plan['id']}", limits={"monthly_tokens": 150})
        rows = connection.execute(
            "SELECT DISTINCT version, limits_version, limits->>'monthly_tokens' FROM projects WHERE organization_id = %s",
            [organization],
        ).fetchall()
        assert rows == [(2, 5, "150")]
        deadline = time.monotonic() + 60
        while connection.execute("SELECT count(*) FROM outbox").fetchone() != (0,):
            assert time.monotonic() < deadline, "the relay has not carried them all"
            time.sleep(0.1)
        some = connection.execute(
            "SELECT id::text FROM projects WHERE organization_id = %s ORDER BY random() LIMIT 5", [organization]
        ).fetchall()
    for (project,) in some:
        record = bucket.read(accounts.bus, f"project.{project}")
        assert record is not None
        assert record["limits"] == {"version": 5, "monthly_tokens": 150}


def test_changes_of_a_plan_and_of_its_projects_at_once(accounts: Service, organization: str):
    """None of them waits for another in a circle, and in the end every project stands as the plan says."""
    plan = make_plan(accounts, organization, limits={"monthly_tokens": 0})
    projects = [make_project(accounts, organization, plan_id=plan["id"]) for _ in range(4)]

    def plan_change(tokens: int) -> int:
        path = f"/organizations/{organization}/plans/{plan['id']}"
        return accounts.alice.patch(path, json={"limits": {"monthly_tokens": tokens}}).status_code

    def project_change(number: int) -> int:
        path = f"/projects/{projects[number % 4]['id']}"
        return accounts.alice.patch(path, json={"limits": {"concurrency": number}, "name": f"N{number}"}).status_code

    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(plan_change, number) for number in range(1, 13)]
        done += [threads.submit(project_change, number) for number in range(24)]
        assert {future.result() for future in done} == {200}
    tokens = accounts.alice.get(f"/organizations/{organization}/plans/{plan['id']}").json()["limits"]["monthly_tokens"]
    for project in projects:
        assert accounts.alice.get(f"/projects/{project['id']}").json()["limits"]["monthly_tokens"] == tokens


def test_plans_are_audited(accounts: Service, organization: str):
    """Made, changed from what to what, deleted; by whom."""
    plan = make_plan(accounts, organization, limits={"monthly_tokens": 1})
    path = f"/organizations/{organization}/plans/{plan['id']}"
    change(accounts, path, limits={"monthly_tokens": 2})
    accounts.alice.delete(path)
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        lines = connection.execute(
            "SELECT action, before, after, actor_name FROM audit_log WHERE object_id = %s ORDER BY id", [plan["id"]]
        ).fetchall()
    assert [line[0] for line in lines] == ["plan.created", "plan.updated", "plan.deleted"]
    assert lines[0][1] is None
    assert lines[1][1]["limits"]["monthly_tokens"] == 1
    assert lines[1][2]["limits"]["monthly_tokens"] == 2
    assert lines[2][2] is None
    assert {line[3] for line in lines} == {"alice@example.com"}
