"""Organizations and projects over HTTP, and the records that announce them."""

import uuid
from typing import Any

import pytest

from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service


def test_a_new_organization_is_usable_at_once(accounts: Service):
    """The caller owns it and needs no new token; it is announced with its time zone."""
    name = f"Müller & Söhne {uuid.uuid4()}"
    made = accounts.alice.post("/organizations", json={"name": name, "time_zone": "Europe/Berlin"})
    assert made.status_code == 201
    organization = made.json()
    assert organization["slug"].startswith("muller-sohne-")
    project = accounts.alice.post(f"/organizations/{organization['id']}/projects", json={"name": "First"})
    assert project.status_code == 201
    assert name in [item["name"] for item in accounts.alice.get("/organizations", params={"limit": 200}).json()["data"]]
    record = bucket.wait_for(accounts.bus, f"organization.{organization['id']}")
    assert (record["time_zone"], record["status"]) == ("Europe/Berlin", "active")


def test_suspending_an_organization_is_announced(accounts: Service):
    """Its keys close at the gateways, which join key, project and organization."""
    organization = accounts.alice.post("/organizations", json={"name": "Short-lived"}).json()
    changed = accounts.alice.patch(f"/organizations/{organization['id']}", json={"status": "suspended"}).json()
    assert (changed["status"], changed["version"]) == ("suspended", 2)
    record = bucket.wait_for(accounts.bus, f"organization.{organization['id']}", version=2)
    assert record["status"] == "suspended"


def test_slugs_are_unique_where_they_are_chosen(accounts: Service):
    """A chosen slug that is taken is a conflict, a derived one gets a number."""
    organization = accounts.alice_seed["organization_id"]
    path = f"/organizations/{organization}/projects"
    slug = f"s-{uuid.uuid4()}"
    assert accounts.alice.post(path, json={"name": "A", "slug": slug}).status_code == 201
    assert accounts.alice.post(path, json={"name": "B", "slug": slug}).status_code == 409
    name = f"Same {uuid.uuid4()}"
    first, second = (accounts.alice.post(path, json={"name": name}).json()["slug"] for _ in range(2))
    assert second == f"{first}-2"


def test_changing_a_limit_raises_the_limits_version(accounts: Service, project: dict[str, Any]):
    """Only a change of a limit does; what is left out stays; null takes a limit away."""
    path = f"/projects/{project['id']}"
    limits = [project["limits"]]
    for change in (
        {"limits": {"monthly_tokens": 1_000, "monthly_cost_nanousd": 5_000_000_000}},
        {"name": "Other name"},
        {"limits": {"monthly_tokens": 1_000}},
        {"limits": {"monthly_tokens": 2**63 - 1}},
        {"limits": {"monthly_cost_nanousd": None}},
    ):
        answer = accounts.alice.patch(path, json=change)
        assert answer.status_code == 200, answer.text
        limits.append(answer.json()["limits"])
    assert [limit["version"] for limit in limits] == [1, 2, 2, 2, 3, 4]
    assert {name: value for name, value in limits[-1].items() if value is not None} == {"version": 4, "monthly_tokens": 2**63 - 1}
    record = bucket.wait_for(accounts.bus, f"project.{project['id']}", version=6)
    assert record["limits"] == {"version": 4, "monthly_tokens": 2**63 - 1}


def test_policies_are_merged_and_announced(accounts: Service, project: dict[str, Any]):
    """Cache, tier, models, modes: given fields change, the others stay."""
    path = f"/projects/{project['id']}"
    accounts.alice.patch(path, json={"cache": {"scope": "key"}, "tier": {"default_tier": "deep"}, "models": ["fast", "fast"]})
    changed = accounts.alice.patch(path, json={"cache": {"ttl_seconds": 60}, "revoked_streams": "finish", "status": "suspended"})
    assert changed.status_code == 200
    body = changed.json()
    assert body["cache"] == {"scope": "key", "ttl_seconds": 60}
    assert body["tier"] == {"deep_from_characters": None, "default_tier": "deep", "fast_models": None, "deep_models": None}
    assert (body["models"], body["revoked_streams"], body["status"]) == (["fast"], "finish", "suspended")
    record = bucket.wait_for(accounts.bus, f"project.{project['id']}", version=3)
    assert (record["cache"], record["status"]) == ({"scope": "key", "ttl_seconds": 60}, "suspended")
    assert accounts.alice.patch(path, json={"models": None}).json()["models"] is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"limits": {"monthly_tokens": -1}}, "limits.monthly_tokens"),
        ({"limits": {"monthly_tokens": 2**63}}, "limits.monthly_tokens"),
        ({"limits": {"monthly_tokens": 1.5}}, "limits.monthly_tokens"),
        ({"limits": {"monthly_tokens": True}}, "limits.monthly_tokens"),
        ({"limits": {"monthly_cost_usd": 5}}, "limits.monthly_cost_usd"),
        ({"limits": None}, "limits"),
        ({"name": None}, "name"),
        ({"budget_mode": "free"}, "budget_mode"),
        ({"on_no_grant": "ajar"}, "on_no_grant"),
        ({"on_unpriced": "free"}, "on_unpriced"),
        ({"enforcement": None}, "enforcement"),
        ({"retention_days": 0}, "retention_days"),
        ({"retention_days": 3651}, "retention_days"),
        ({"prompt_logging": True}, "prompt_logging"),
        ({"prompt_logging": None}, "prompt_logging"),
        ({"environment": "x" * 65}, "environment"),
        ({"limits": {"daily_tokens": -5}}, "limits.daily_tokens"),
        ({"end_user_limits": {"concurrency": "3"}}, "end_user_limits.concurrency"),
        ({"alert_percents": [0]}, "alert_percents.0"),
        ({"alert_percents": [201]}, "alert_percents.0"),
        ({"alert_percents": None}, "alert_percents"),
        ({"tier": {"fast_models": [""]}}, "tier.fast_models.0"),
        ({"inherit": ["weekly_tokens"]}, "inherit.0"),
        ({"inherit": ["daily_tokens"], "limits": {"daily_tokens": 1}}, "inherit"),
        ({"plan_id": "no-plan"}, "plan_id"),
        ({"plan_id": "01900000-0000-7000-8000-000000000000"}, "plan_id"),
        ({"slug": "Not A Slug"}, "slug"),
        ({"cache": {"ttl_seconds": 0}}, "cache.ttl_seconds"),
        ({"version": 7}, "version"),
        ({"organization_id": "x"}, "organization_id"),
    ],
)
def test_a_wrong_change_is_refused_by_field(accounts: Service, project: dict[str, Any], change: Any, field: str):
    """And changes nothing."""
    answer = accounts.alice.patch(f"/projects/{project['id']}", json=change)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert accounts.alice.get(f"/projects/{project['id']}").json()["version"] == 1


def test_a_time_zone_must_exist(accounts: Service):
    """Budgets are counted in it."""
    for zone in ("Mars/Olympus", "../etc/passwd", ""):
        assert accounts.alice.post("/organizations", json={"name": "X", "time_zone": zone}).status_code == 422
