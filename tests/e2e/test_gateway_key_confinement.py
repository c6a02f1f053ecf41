"""What a key is confined to: networks, endpoints, models, tiers; and the tags that its requests carry."""

from collections.abc import Iterator

import pytest

from tests.e2e.harness import Gateway, Project, World
from tests.e2e.running_stack import Answer, call, eventually

OFFICE, ELSEWHERE = "203.0.113.7", "198.51.100.1"
LONG = "x" * 9_000
"""`auto` means deep from 8,000 characters."""


@pytest.fixture(scope="module")
def project(world: World) -> Project:
    """One for all tests that don't change it."""
    return world.new_project()


@pytest.fixture(scope="module")
def behind_proxy(world: World) -> Iterator[Gateway]:
    """A third gateway, to which whoever asks from loopback is a proxy to be believed."""
    gateway = world.add_gateway(TRUSTED_PROXIES="127.0.0.0/8")
    yield gateway
    world.remove_gateway(gateway)


def issue(world: World, project_id: str, **fields: object) -> Project:
    """A key that not every request may use, known to all gateways."""
    key = world.manage("POST", f"/projects/{project_id}/keys", {"name": "confined", **fields})
    for gateway in world.gateways:
        eventually(lambda url=gateway.url: models(url, key["key"]).status in (200, 403))
    return Project(project_id, key["key"], key["id"])


def change(world: World, key: Project, **fields: object) -> None:
    """Change a key."""
    world.manage("PATCH", f"/projects/{key.id}/keys/{key.key_id}", fields)


def models(url: str, key: str, **headers: str) -> Answer:
    """Ask for the models."""
    return call("GET", f"{url}/v1/models", bearer=key, **headers)


def code(answer: Answer) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status, answer.json["error"]["code"]


def test_a_key_is_refused_from_elsewhere(world: World, project: Project, behind_proxy: Gateway) -> None:
    """By the peer's address, or by what a trusted proxy says of it; what a client claims itself is believed nowhere."""
    key = issue(world, project.id, networks=["203.0.113.0/24", "2001:db8::/48"])
    told = [OFFICE, "2001:db8::7", f"{ELSEWHERE}, {OFFICE}"]
    assert [models(behind_proxy.url, key.key, x_forwarded_for=said).status for said in told] == [200] * 3
    for said in (ELSEWHERE, f"{OFFICE}, {ELSEWHERE}", "2001:db9::7", "nonsense", ""):
        assert code(models(behind_proxy.url, key.key, x_forwarded_for=said)) == (403, "ip_not_allowed"), said
    for claimed in ({}, {"x_forwarded_for": OFFICE}):
        assert code(models(world.gateway.url, key.key, **claimed)) == (403, "ip_not_allowed")
    assert code(world.gateway.chat(key)) == (403, "ip_not_allowed")
    assert behind_proxy.chat(key, headers={"x_forwarded_for": OFFICE}).status == 200


def test_networks_are_changed_and_lifted(world: World, project: Project) -> None:
    """Without a new secret, on every gateway."""
    key = issue(world, project.id, networks=["203.0.113.0/24"])
    for networks, status in ((["127.0.0.0/8"], 200), (["203.0.113.0/24"], 403), (None, 200)):
        change(world, key, networks=networks)
        for gateway in world.gateways[:2]:
            eventually(lambda gateway=gateway, status=status: models(gateway.url, key.key).status == status)


def test_a_key_opens_the_endpoints_of_its_scopes(world: World, project: Project) -> None:
    """Others answer 403 and say which scope is missing; an unknown path is still a 404."""
    key = issue(world, project.id, scopes=["models"])
    assert models(world.gateway.url, key.key).status == 200
    assert code(world.gateway.chat(key)) == (403, "insufficient_permissions")
    assert "'chat'" in world.gateway.chat(key).json["error"]["message"]
    assert code(call("GET", f"{world.gateway.url}/v1/quota", bearer=key.key)) == (403, "insufficient_permissions")
    assert call("GET", f"{world.gateway.url}/v1/nothing", bearer=key.key).status == 404
    change(world, key, scopes=["chat"])
    eventually(lambda: world.gateway.chat(key).status == 200)
    assert code(models(world.gateway.url, key.key)) == (403, "insufficient_permissions")


def test_a_key_uses_the_models_of_its_list_within_the_projects(world: World) -> None:
    """Both lists must name it; what is refused is a model that does not exist, and is not listed."""
    project = world.new_project(models=["fast", "sim-fast-1"])
    key = issue(world, project.id, models=["fast", "deep"])
    assert world.gateway.chat(key, model="fast").status == 200
    for model in ("deep", "sim-fast-1", "auto", "sim-fast-2"):
        assert code(world.gateway.chat(key, model=model)) == (404, "model_not_found"), model
    assert code(world.gateway.chat(key, model="fast", headers={"x_codexflow_tier": "deep"})) == (404, "model_not_found")
    assert [it["id"] for it in models(world.gateway.url, key.key).json["data"]] == ["fast"]
    assert world.gateway.chat(project, model="sim-fast-1").status == 200


def test_a_tier_uses_the_models_that_the_project_leaves_it(world: World) -> None:
    """The deep tier's first model, which always fails, is not even tried; a tier without a model is refused."""
    policy = {"deep_models": ["sim-deep-1"], "fast_models": ["not-of-this-gateway"]}
    project = world.new_project(tier=policy)
    assert world.gateway.chat(project, model="deep").status == 200
    assert world.gateway.chat(project, LONG).status == 200
    assert code(world.gateway.chat(project, model="fast")) == (404, "model_not_found")
    rows = world.compare(project, 2).values()
    assert {(row["tier"], row["model"], len(row["attempts"])) for row in rows} == {("deep", "sim-deep-1", 1)}
    assert "fast" not in [it["id"] for it in models(world.gateway.url, project.key).json["data"]]


def test_requests_carry_the_tags_that_their_key_had(world: World, project: Project) -> None:
    """Into the rows of usage; a change of the key counts from then on."""
    key = issue(world, project.id, tags={"team": "search", "stage": "trial"})
    first = world.gateway.chat(key)
    change(world, key, tags={"team": "ranking"})
    asked = [first.headers["x-request-id"]]

    def tags_of_another() -> dict[str, str]:
        asked.append(world.gateway.chat(key).headers["x-request-id"])
        rows = {row["event_id"]: row for row in world.booked(project)}
        return rows[asked[-2]]["tags"] if asked[-2] in rows and len(asked) > 2 else {}

    eventually(lambda: tags_of_another() == {"team": "ranking"})
    (row,) = [row for row in world.booked(project) if row["event_id"] == asked[0]]
    assert (row["tags"], row["key_id"]) == ({"team": "search", "stage": "trial"}, key.key_id)
