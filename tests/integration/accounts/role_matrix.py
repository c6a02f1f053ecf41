"""What the role matrix walks: an organization with one of everything, and askers of every kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from accounts.domain import opaque_tokens
from common.contracts.identifiers import uuid7
from common.contracts.roles import PERMISSIONS, Permission, Role
from tests.integration.accounts.people import ROLES, Caller, People, Person

PASSWORD = "correct horse battery"
PROVIDER = "corporate"
NARROW: frozenset[Permission] = frozenset({"organization.read", "projects.read", "keys.read", "keys.issue"})
STRONGER: dict[str, Permission] = {"keys.issue": "keys.manage"}
"""What includes another permission: whoever manages everybody's keys manages their own."""


@dataclass(frozen=True)
class Asker:
    """Somebody who asks, and what they may do in the organization.

    `granted` None: does not belong to it. `person`: has signed in, which no long-lived token does.
    """

    name: str
    caller: Caller
    granted: frozenset[Permission] | None
    person: bool = True
    operator: bool = False

    def may(self, permission: str) -> bool:
        """What the table of roles says, or the kind of caller."""
        match permission:
            case "self":
                return self.person
            case "operator":
                return self.person and self.operator
            case _:
                granted = self.granted or frozenset()
                return permission in granted or STRONGER.get(permission) in granted


@dataclass
class World:
    """One organization with one of everything, all of it made by an owner who asks nothing else."""

    people: People
    keeper: Person
    operator: Person
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def organization(self) -> str:
        return self.ids["organization_id"]

    @property
    def path(self) -> str:
        return f"/organizations/{self.organization}"

    @property
    def keys(self) -> str:
        return f"/projects/{self.ids['project_id']}/keys"

    def made(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What the keeper has just made."""
        answer = self.keeper.post(path, json=body)
        assert answer.status_code in (200, 201), (path, answer.text)
        return answer.json()

    def map_domain(self, domain: str) -> None:
        """For this organization."""
        answer = self.operator.request("PUT", f"{self.path}/domains/{domain}", json={"provider": PROVIDER})
        assert answer.status_code == 200, answer.text


def make_world(people: People) -> World:
    """The organization; its domain is mapped, one of its groups has a role."""
    keeper = people.make("keeper", password=PASSWORD)
    world = World(people, keeper, people.make("operator", operator=True))
    world.ids["organization_id"] = organization = people.organization(keeper, "Matrix")["id"]
    world.ids["user_id"] = people.member(organization, "viewer").id
    world.ids["project_id"] = world.made(f"{world.path}/projects", {"name": "Chat"})["id"]
    world.ids["key_id"] = world.made(world.keys, {"name": "Keeper's"})["id"]
    world.ids["session_id"] = keeper.get("/auth/sessions").json()["data"][0]["id"]
    world.ids["plan_id"] = world.made(f"{world.path}/plans", {"name": "Standard"})["id"]
    invited = {"email": people.fresh_email(), "role": "viewer"}
    world.ids["invitation_id"] = world.made(f"{world.path}/invitations", invited)["id"]
    robots = f"{world.path}/service-accounts"
    world.ids["service_account_id"] = robot_id = world.made(robots, {"name": "Robot", "role": "viewer"})["id"]
    world.ids["token_id"] = world.made(f"{robots}/{robot_id}/tokens", {"name": "Token"})["id"]
    world.ids["domain"] = fresh_domain()
    world.map_domain(world.ids["domain"])
    world.ids["provider"] = PROVIDER
    return world


def fresh_domain() -> str:
    """One that nobody has."""
    return f"{opaque_tokens.digest_of(uuid7())[:20]}.example"


def member(role: Role) -> Callable[[World], Asker]:
    """A fresh member."""

    def make(world: World) -> Asker:
        person = world.people.join(world.organization, world.people.make(role, password=PASSWORD), role)
        return Asker(role, person, PERMISSIONS[role])

    return make


def operator(world: World) -> Asker:
    """Runs the installation and belongs to no organization."""
    person = world.people.make("operator", operator=True, password=PASSWORD)
    return Asker("operator", person, None, operator=True)


def robot(world: World) -> Asker:
    """A service account with the highest role that one can have."""
    caller = world.people.service_account(world.organization, "admin")
    return Asker("service account", caller, PERMISSIONS["admin"], person=False)


def narrowed(world: World) -> Asker:
    """An owner, who is an operator too, by a personal token that is good for little."""
    person = world.people.join(world.organization, world.people.make("narrowed", operator=True), "owner")
    return Asker("narrowed token", world.people.scoped(person, *NARROW), NARROW, person=False, operator=True)


ASKERS: dict[str, Callable[[World], Asker]] = {
    **{role: member(role) for role in ROLES},
    "operator": operator,
    "service account": robot,
    "narrowed token": narrowed,
}
