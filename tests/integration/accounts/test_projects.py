"""A project's whole set of fields: said at creation or changed later, shown, announced, filtered by."""

import uuid
from typing import Any

import pytest

from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service

EVERY_LIMIT = {
    "monthly_tokens": 1_000_000,
    "monthly_cost_nanousd": 5_000_000_000,
    "daily_tokens": 50_000,
    "daily_cost_nanousd": 300_000_000,
    "requests_per_minute": 60,
    "tokens_per_minute": 9_000,
    "concurrency": 4,
}
NO_LIMIT = dict.fromkeys(EVERY_LIMIT)
EVERYTHING: dict[str, Any] = {
    "environment": "production",
    "models": ["sim-fast-1"],
    "limits": EVERY_LIMIT,
    "end_user_limits": {"requests_per_minute": 5},
    "alert_percents": [100, 50, 50],
    "budget_mode": "sliced",
    "on_no_grant": "grace",
    "on_unpriced": "allow",
    "enforcement": "shadow",
    "revoked_streams": "finish",
    "cache": {"scope": "key", "ttl_seconds": 60},
    "tier": {"deep_from_characters": 10, "default_tier": "deep", "fast_models": ["sim-fast-1"], "deep_models": []},
    "prompt_logging": False,
    "retention_days": 30,
}
SHOWN = {
    **EVERYTHING,
    "limits": {"version": 1, **EVERY_LIMIT},
    "limit_overrides": {**EVERY_LIMIT, "alert_percents": [50, 100]},
    "end_user_limits": {"version": 1, **NO_LIMIT, "requests_per_minute": 5},
    "alert_percents": [50, 100],
    "plan_id": None,
}


def path_of(accounts: Service) -> str:
    return f"/organizations/{accounts.alice_seed['organization_id']}/projects"


def assert_shows(project: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert {name: project[name] for name in wanted} == wanted


def assert_announced(record: dict[str, Any] | None, limits_version: int) -> None:
    """All of EVERYTHING, but for what the data plane is not told."""
    assert record is not None
    wanted = {name: value for name, value in EVERYTHING.items() if name != "prompt_logging"}
    wanted |= {
        "limits": {"version": limits_version, **EVERY_LIMIT},
        "end_user_limits": {"version": 1, "requests_per_minute": 5},
        "alert_percents": [50, 100],
    }
    assert {name: record[name] for name in wanted} == wanted
    assert "prompt_logging" not in record


def test_everything_can_be_said_at_creation(accounts: Service):
    """It is shown, and announced to gateways and usage."""
    made = accounts.alice.post(path_of(accounts), json={"name": "Whole", **EVERYTHING})
    assert made.status_code == 201, made.text
    assert_shows(made.json(), SHOWN)
    assert_announced(bucket.wait_for(accounts.bus, f"project.{made.json()['id']}"), 1)


def test_everything_can_be_changed(accounts: Service, project: dict[str, Any]):
    """In one request; each of them alone is kept by a later change of another."""
    changed = accounts.alice.patch(f"/projects/{project['id']}", json=EVERYTHING)
    assert changed.status_code == 200, changed.text
    assert_shows(changed.json(), {**SHOWN, "limits": {"version": 2, **EVERY_LIMIT}})
    assert_announced(bucket.wait_for(accounts.bus, f"project.{project['id']}", version=2), 2)
    renamed = accounts.alice.patch(f"/projects/{project['id']}", json={"name": "Other"}).json()
    assert_shows(renamed, {**SHOWN, "limits": {"version": 2, **EVERY_LIMIT}})


def test_limits_of_end_users_have_a_version_of_their_own(accounts: Service, project: dict[str, Any]):
    """It rises with each change of them, and the project's stays."""
    path = f"/projects/{project['id']}"
    versions = []
    for change in ({"concurrency": 3}, {"concurrency": 3}, {"daily_tokens": 7}, {"concurrency": None}):
        answer = accounts.alice.patch(path, json={"end_user_limits": change}).json()
        versions.append((answer["end_user_limits"]["version"], answer["limits"]["version"]))
    assert versions == [(1, 1), (1, 1), (2, 1), (3, 1)]
    assert answer["end_user_limits"] == {"version": 3, **NO_LIMIT, "daily_tokens": 7}


def test_nothing_logs_prompts(accounts: Service, project: dict[str, Any]):
    """So nobody may believe that it is on: true is refused by name, false may be said and is shown."""
    for method, path in (("POST", path_of(accounts)), ("PATCH", f"/projects/{project['id']}")):
        refused = accounts.alice.request(method, path, json={"name": "Chatty", "prompt_logging": True})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "prompt_logging")
    assert project["prompt_logging"] is False


def test_lists_are_filtered(accounts: Service):
    """By status, environment, plan and slug, also together; what nobody has is an empty list."""
    organization = accounts.alice.post("/organizations", json={"name": "Filters"}).json()["id"]
    path = f"/organizations/{organization}"
    plan = accounts.alice.post(f"{path}/plans", json={"name": "Small"}).json()["id"]
    one = accounts.alice.post(f"{path}/projects", json={"name": "One", "environment": "test", "plan_id": plan}).json()
    two = accounts.alice.post(f"{path}/projects", json={"name": "Two", "environment": "test"}).json()
    accounts.alice.patch(f"/projects/{two['id']}", json={"status": "suspended"})

    def found(**only: str) -> list[str]:
        answer = accounts.alice.get(f"{path}/projects", params=only)
        assert answer.status_code == 200, answer.text
        return [project["name"] for project in answer.json()["data"]]

    assert found(environment="test") == ["One", "Two"]
    assert found(environment="test", status="active") == ["One"]
    assert found(status="suspended") == ["Two"]
    assert found(plan_id=plan) == ["One"]
    assert found(slug=one["slug"]) == ["One"]
    assert found(slug="nobody") == found(environment="nowhere") == found(plan_id=str(uuid.uuid4())) == []


@pytest.mark.parametrize("only", [{"status": "revoked"}, {"plan_id": "x"}, {"slug": "Not A Slug"}, {"environment": "x" * 65}])
def test_a_filter_that_cannot_match_is_refused(accounts: Service, only: dict[str, str]):
    """Rather than answered by a list that says nothing."""
    assert accounts.alice.get(path_of(accounts), params=only).status_code == 422
