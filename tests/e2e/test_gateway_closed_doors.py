"""Suspending at any level closes the keys below it on every gateway, and no others; reinstating opens them again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.harness import Project, World
from tests.e2e.running_stack import call, eventually
from tests.e2e.streams import ENDLESS, streams_while


@dataclass(frozen=True)
class Company:
    """An organization with a project; a key of its owner and one of a developer there, and the developer's key in another one."""

    organization_id: str
    developer_id: str
    owners: Project
    developers: Project
    developers_elsewhere: Project

    @property
    def keys(self) -> dict[str, Project]:
        return {"owners": self.owners, "developers": self.developers, "elsewhere": self.developers_elsewhere}

    def path(self, level: str) -> str:
        """What is suspended, as accounts knows it."""
        return {
            "organization": f"/organizations/{self.organization_id}",
            "project": f"/projects/{self.developers.id}",
            "member": f"/organizations/{self.organization_id}/members/{self.developer_id}",
            "user": f"/users/{self.developer_id}",
            "key": f"/projects/{self.developers.id}/keys/{self.developers.key_id}",
        }[level]


def admit(world: World, organization_id: str, email: str, token: str | None = None) -> tuple[str, str]:
    """A developer of an organization, who has an account if there is a token: user id and a token of theirs."""
    invited = world.manage("POST", f"/organizations/{organization_id}/invitations", {"email": email, "role": "developer"})
    body = {"token": invited["link"].partition("#token=")[2]}
    if token is None:
        body |= {"name": "Ada", "password": "the engine weaves"}
    accepted = call("POST", f"{world.accounts_url}/api/v1/invitations/accept", body, bearer=token)
    assert accepted.status == 200, accepted.body
    login = {"email": email, "password": "the engine weaves"}
    signed_in = call("POST", f"{world.accounts_url}/api/v1/auth/login", login)
    return accepted.json["user_id"], signed_in.json["access_token"]


@pytest.fixture(scope="module")
def company(world: World) -> Company:
    """Made once: each test leaves everything open."""
    email = f"ada-{uuid4()}@example.org"
    here, there = (world.manage("POST", "/organizations", {"name": name})["id"] for name in ("Here", "There"))
    developer_id, token = admit(world, here, email)
    admit(world, there, email, token)
    owners = world.new_project(organization=here)
    elsewhere = world.new_project(organization=there)
    return Company(
        here,
        developer_id,
        owners,
        world.new_key(owners.id, owner_id=developer_id),
        world.new_key(elsewhere.id, owner_id=developer_id),
    )


@pytest.fixture(autouse=True)
def all_open(world: World, company: Company) -> Iterator[None]:
    """Every key is open on every gateway before and after a test."""
    wait(world, company, closed=set())
    yield
    wait(world, company, closed=set())


def statuses(world: World, company: Company) -> dict[str, set[int]]:
    """What the two gateways answer to each key."""
    return {
        name: {call("GET", f"{gateway.url}/v1/models", bearer=key.key).status for gateway in world.gateways[:2]}
        for name, key in company.keys.items()
    }


def wait(world: World, company: Company, closed: set[str]) -> None:
    """Until these keys are refused on every gateway; the others are let in."""
    wanted = {name: {401} if name in closed else {200} for name in company.keys}
    eventually(lambda: statuses(world, company) == wanted)


@pytest.mark.parametrize(
    ("level", "closed"),
    [
        ("organization", {"owners", "developers"}),
        ("project", {"owners", "developers"}),
        ("member", {"developers"}),
        ("user", {"developers", "elsewhere"}),
        ("key", {"developers"}),
    ],
)
def test_suspending_closes_what_is_below_and_reinstating_opens_it(
    world: World, company: Company, level: str, closed: set[str]
) -> None:
    """Twice, for what was opened again must close again; the keys themselves are never changed for it."""
    before = world.manage("GET", f"/projects/{company.owners.id}/keys/{company.owners.key_id}")
    for _ in range(2):
        world.manage("PATCH", company.path(level), {"status": "suspended"})
        wait(world, company, closed)
        world.manage("PATCH", company.path(level), {"status": "active"})
        wait(world, company, set())
    assert world.manage("GET", f"/projects/{company.owners.id}/keys/{company.owners.key_id}")["version"] == before["version"]


def test_a_door_opens_only_when_every_level_is_open(world: World, company: Company) -> None:
    """Member and project suspended: reinstating one of them is not enough."""
    for level in ("member", "project"):
        world.manage("PATCH", company.path(level), {"status": "suspended"})
    wait(world, company, {"owners", "developers"})
    world.manage("PATCH", company.path("project"), {"status": "active"})
    wait(world, company, {"developers"})
    world.manage("PATCH", company.path("member"), {"status": "active"})


@pytest.mark.parametrize("level", ["member", "organization"])
def test_streams_of_a_suspended_owner_are_cut(world: World, company: Company, level: str) -> None:
    """As those of a revoked key: an error event, then the end."""

    def suspend() -> Any:
        return world.manage("PATCH", company.path(level), {"status": "suspended"})

    for told in streams_while(world, company.developers, ENDLESS, suspend):
        assert told[-1]["error"]["code"] == "invalid_api_key"
    world.manage("PATCH", company.path(level), {"status": "active"})


def test_somebody_who_was_removed_and_comes_back_finds_the_old_keys_closed(world: World) -> None:
    """Removing revokes for ever; being a member again opens nothing that was revoked."""
    email = f"guest-{uuid4()}@example.org"
    organization = world.manage("POST", "/organizations", {"name": "Revolving"})["id"]
    user_id, token = admit(world, organization, email)
    project = world.new_project(organization=organization)
    old = world.new_key(project.id, owner_id=user_id)
    world.manage("DELETE", f"/organizations/{organization}/members/{user_id}")
    for gateway in world.gateways[:2]:
        eventually(lambda gateway=gateway: gateway.chat(old).status == 401)
    admit(world, organization, email, token)
    new = world.new_key(project.id, owner_id=user_id)
    assert [[gateway.chat(key).status for gateway in world.gateways[:2]] for key in (new, old)] == [[200, 200], [401, 401]]
