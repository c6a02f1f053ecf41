"""What the role matrix walks: an organization with one of everything, askers of every kind, and how each route is asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from accounts.domain import opaque_tokens
from common.contracts.identifiers import uuid7
from common.contracts.roles import PERMISSIONS, Permission, Role
from tests.integration.accounts.people import Caller, People, Person

PASSWORD = "correct horse battery"
PROVIDER = "corporate"
STRONGER: dict[str, Permission] = {"keys.issue": "keys.manage"}
"""What includes another permission: whoever manages everybody's keys manages their own."""


@dataclass(frozen=True)
class Asker:
    """Somebody who asks, and what they may do in the organization. `person`: has signed in, and not with a narrowed token."""

    name: str
    caller: Caller
    granted: frozenset[Permission]
    person: bool = True
    operator: bool = False

    def may(self, permission: str) -> bool:
        """What the table of roles says, or the kind of caller."""
        match permission:
            case "public":
                return True
            case "self":
                return self.person
            case "operator":
                return self.operator
            case _:
                return permission in self.granted or STRONGER.get(permission) in self.granted


@dataclass
class World:
    """One organization with one of everything, all of it made by an owner who asks nothing else."""

    people: People
    keeper: Person
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def organization(self) -> str:
        return self.ids["organization_id"]

    def made(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What the keeper has just made."""
        answer = self.keeper.post(path, json=body)
        assert answer.status_code in (200, 201), (path, answer.text)
        return answer.json()

    def fresh_asker(self, role: Role) -> Asker:
        """A new member."""
        person = self.people.make(role, password=None)
        return Asker(role, self.people.join(self.organization, person, role), PERMISSIONS[role])

    def a_member(self, _: Asker) -> dict[str, str]:
        return {"user_id": self.people.member(self.organization, "viewer").id}

    def a_plan(self, _: Asker) -> dict[str, str]:
        return {"plan_id": self.made(f"/organizations/{self.organization}/plans", {"name": f"Plan {uuid7()}"})["id"]}

    def a_key(self, _: Asker) -> dict[str, str]:
        return {"key_id": self.made(f"/projects/{self.ids['project_id']}/keys", {"name": "Somebody's"})["id"]}

    def own_key(self, asker: Asker) -> dict[str, str]:
        """A key that belongs to the asker, if the asker could have one."""
        if not asker.may("keys.issue"):
            return {}
        issued = asker.caller.post(f"/projects/{self.ids['project_id']}/keys", json={"name": "Own"})
        assert issued.status_code == 201, issued.text
        return {"key_id": issued.json()["id"]}

    def own_session(self, asker: Asker) -> dict[str, str]:
        """A sign-in of the asker's."""
        sessions = asker.caller.get("/auth/sessions") if asker.person else None
        return {} if sessions is None else {"session_id": sessions.json()["data"][0]["id"]}


def make_world(people: People) -> World:
    """The organization."""
    keeper = people.make("keeper")
    world = World(people, keeper)
    world.ids["organization_id"] = organization = people.organization(keeper, "Matrix")["id"]
    world.ids["user_id"] = people.member(organization, "viewer").id
    world.ids["project_id"] = project = world.made(f"/organizations/{organization}/projects", {"name": "Chat"})["id"]
    world.ids["key_id"] = world.made(f"/projects/{project}/keys", {"name": "Keeper's"})["id"]
    world.ids["session_id"] = keeper.get("/auth/sessions").json()["data"][0]["id"]
    world.ids["domain"] = f"{opaque_tokens.digest_of(organization)[:20]}.example"
    world.ids["provider"] = PROVIDER
    for name, path, body in (
        ("plan_id", "plans", {"name": "Standard"}),
        ("invitation_id", "invitations", {"email": people.fresh_email(), "role": "viewer"}),
    ):
        world.ids[name] = world.made(f"/organizations/{organization}/{path}", body)["id"]
    return world


Ids = Callable[[World, Asker], dict[str, str]]


@dataclass(frozen=True)
class Case:
    """One way to ask a route. `body` is valid; `ids` are those that must be fresh or the asker's own; `more` are further statuses
    that say that the asker may (a conflict, say); `needs`: what else a narrowed token must include; `permission`: not the one
    that the route declares; `consumes`: the asker is somebody else afterwards; `anyone`: not only people who have signed in."""

    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    ids: Ids = lambda _world, _asker: {}
    more: frozenset[int] = frozenset()
    needs: frozenset[Permission] = frozenset()
    permission: str | None = None
    consumes: bool = False
    password: bool = False
    anyone: bool = False
