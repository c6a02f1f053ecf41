"""How each route of accounts is asked when the role matrix walks it: the one place to extend for a new route."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from common.contracts.identifiers import uuid7
from tests.integration.accounts.role_matrix import PASSWORD, PROVIDER, Asker, World, fresh_domain

Made = Callable[[World, Asker], dict[str, str]]


def nothing(_world: World, _asker: Asker) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Case:
    """One way to ask a route.

    `body` is valid, so that only authorization refuses it; `ids` are those that must be fresh or the asker's own. `permission`:
    what it needs, where the route says `x-permission-by-field` or its object decides. `anyone`: concerns no organization, so that
    everybody may who has signed in, or whose token includes the permission. `accepted`: further statuses that only somebody
    meets who may. `consumes`: the asker is somebody else afterwards.
    """

    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    ids: Made = nothing
    permission: str | None = None
    anyone: bool = False
    accepted: frozenset[int] = frozenset()
    consumes: bool = False

    def content(self, world: World, asker: Asker) -> Any:
        """The body for this asker."""
        return self.body(world, asker) if callable(self.body) else self.body


def refused(*statuses: int) -> Case:
    """A public route that is asked with what nobody was given: it answers by itself, not the door."""
    return Case(accepted=frozenset(statuses))


def a_member(world: World, _: Asker) -> dict[str, str]:
    return {"user_id": world.people.member(world.organization, "viewer").id}


def an_owner(world: World, _: Asker) -> dict[str, str]:
    return {"user_id": world.people.member(world.organization, "owner").id}


def a_user(world: World, _: Asker) -> dict[str, str]:
    return {"user_id": world.people.make().id}


def a_plan(world: World, _: Asker) -> dict[str, str]:
    return {"plan_id": world.made(f"{world.path}/plans", fresh_name(world, _))["id"]}


def a_domain(world: World, _: Asker) -> dict[str, str]:
    domain = fresh_domain()
    world.map_domain(domain)
    return {"domain": domain}


def somebodys_key(world: World, _: Asker) -> dict[str, str]:
    return {"key_id": world.made(world.keys, {"name": "Somebody's"})["id"]}


def own_key(world: World, asker: Asker) -> dict[str, str]:
    """A key that belongs to the asker, if the asker could have one."""
    if not asker.may("keys.issue"):
        return {}
    issued = asker.caller.post(world.keys, json={"name": "Own"})
    assert issued.status_code == 201, issued.text
    return {"key_id": issued.json()["id"]}


def own_session(_: World, asker: Asker) -> dict[str, str]:
    """A sign-in of the asker's."""
    return {"session_id": asker.caller.get("/auth/sessions").json()["data"][0]["id"]} if asker.person else {}


def an_account(world: World, _: Asker) -> dict[str, str]:
    """A service account with a token."""
    made = world.made(f"{world.path}/service-accounts", service_account("viewer")(world, _))
    token = world.made(f"{world.path}/service-accounts/{made['id']}/tokens", NAMED)
    return {"service_account_id": made["id"], "token_id": token["id"]}


def own_token(world: World, asker: Asker) -> dict[str, str]:
    """A personal token of the asker's."""
    if not asker.person:
        return {"token_id": world.ids["token_id"]}
    made = asker.caller.post("/auth/tokens", json=NAMED)
    assert made.status_code == 201, made.text
    return {"token_id": made.json()["id"]}


def service_account(role: str) -> Callable[[World, Asker], dict[str, str]]:
    return lambda _world, _asker: {"name": f"Robot {uuid7()}", "role": role}


def fresh_name(_world: World, _asker: Asker) -> dict[str, str]:
    return {"name": f"Fresh {uuid7()}"}


def group(role: str) -> Callable[[World, Asker], dict[str, str]]:
    return lambda _world, _asker: {"provider": PROVIDER, "group": f"group-{uuid7()}", "role": role}


def invitation(role: str) -> Callable[[World, Asker], dict[str, str]]:
    return lambda world, _asker: {"email": world.people.fresh_email(), "role": role}


def somebody_new(world: World, _: Asker) -> dict[str, str]:
    return {"email": world.people.fresh_email()}


def a_group(world: World, _: Asker) -> dict[str, str]:
    """Has a role; the same each time, since the query is not made for each asker."""
    body = {"provider": PROVIDER, "group": "to-go", "role": "viewer"}
    assert world.keeper.request("PUT", f"{world.path}/group-roles", json=body).status_code == 200
    return {}


def credentials(world: World, _: Asker) -> dict[str, str]:
    return {"email": world.keeper.email, "password": PASSWORD}


NAMED = {"name": "Renamed"}
NEW_PASSWORD = {"current_password": PASSWORD, "new_password": f"{PASSWORD} staple"}
LIMITS = {"limits": {"daily_tokens": 1_000_000}}
ORGANIZATION = "/api/v1/organizations/{organization_id}"
ROBOTS = f"{ORGANIZATION}/service-accounts"
ROBOT = f"{ROBOTS}/{{service_account_id}}"
MEMBER = f"{ORGANIZATION}/members/{{user_id}}"
PROJECT = "/api/v1/projects/{project_id}"
KEY = f"{PROJECT}/keys/{{key_id}}"
AUTH = "/api/v1/auth"
USER = "/api/v1/users/{user_id}"
ONE = (Case(),)

CASES: dict[tuple[str, str], tuple[Case, ...]] = {
    ("GET", "/healthz"): ONE,
    ("GET", "/readyz"): ONE,
    ("GET", "/.well-known/jwks.json"): ONE,
    ("POST", "/api/v1/bootstrap"): (refused(404, 422),),
    ("POST", f"{AUTH}/login"): (Case(credentials),),
    ("POST", f"{AUTH}/refresh"): (Case({"refresh_token": "cf-ref-unknown"}, accepted=frozenset({401})),),
    ("POST", f"{AUTH}/password-reset"): (Case(somebody_new),),
    ("POST", f"{AUTH}/password-reset/confirm"): (refused(422),),
    ("GET", f"{AUTH}/oidc"): ONE,
    ("GET", f"{AUTH}/oidc/{{provider}}/start"): (Case(accepted=frozenset({302, 503})),),
    ("GET", f"{AUTH}/oidc/{{provider}}/callback"): (Case(query={"state": "unknown"}, accepted=frozenset({401})),),
    ("POST", f"{AUTH}/oidc/exchange"): (refused(422),),
    ("POST", "/api/v1/invitations/preview"): (Case({"token": "unknown"}, accepted=frozenset({404})),),
    ("POST", "/api/v1/invitations/accept"): (Case({"token": "unknown"}, accepted=frozenset({404})),),
    ("GET", f"{AUTH}/me"): (Case(anyone=True),),
    ("PATCH", f"{AUTH}/me"): (Case(NAMED),),
    ("POST", f"{AUTH}/password"): (Case(NEW_PASSWORD, consumes=True),),
    ("POST", f"{AUTH}/token"): (Case({"token": "unknown"}, accepted=frozenset({401})),),
    ("GET", f"{AUTH}/tokens"): ONE,
    ("POST", f"{AUTH}/tokens"): (Case(NAMED),),
    ("GET", f"{AUTH}/tokens/{{token_id}}"): (Case(ids=own_token),),
    ("DELETE", f"{AUTH}/tokens/{{token_id}}"): (Case(ids=own_token),),
    ("GET", f"{AUTH}/sessions"): ONE,
    ("DELETE", f"{AUTH}/sessions/{{session_id}}"): (Case(ids=own_session, consumes=True),),
    ("POST", f"{AUTH}/logout"): (Case(consumes=True),),
    ("POST", f"{AUTH}/logout-everywhere"): (Case({}, consumes=True),),
    ("GET", "/api/v1/users"): ONE,
    ("POST", "/api/v1/users"): (Case(somebody_new),),
    ("GET", USER): ONE,
    ("PATCH", USER): (Case(NAMED, ids=a_user),),
    ("POST", f"{USER}/password-reset"): (Case(ids=a_user),),
    ("GET", "/api/v1/organizations"): (Case(anyone=True),),
    ("POST", "/api/v1/organizations"): (Case({"name": "Another"}),),
    ("GET", ORGANIZATION): ONE,
    ("PATCH", ORGANIZATION): (
        Case(NAMED),
        Case(LIMITS, permission="limits.manage"),
        Case({"end_user_limits": {"daily_tokens": 1_000}}, permission="limits.manage"),
        Case({"alert_percents": [80]}, permission="limits.manage"),
        Case({"status": "active"}, permission="organization.close"),
    ),
    ("GET", f"{ORGANIZATION}/members"): ONE,
    ("GET", MEMBER): ONE,
    ("PATCH", MEMBER): (
        Case({"role": "viewer"}, ids=a_member),
        Case({"status": "suspended"}, ids=a_member),
        Case(LIMITS, ids=a_member, permission="limits.manage"),
        Case({"role": "owner"}, ids=a_member, permission="owners.manage"),
        Case({"status": "suspended"}, ids=an_owner, permission="owners.manage"),
    ),
    ("DELETE", MEMBER): (Case(ids=a_member), Case(ids=an_owner, permission="owners.manage")),
    ("POST", f"{ORGANIZATION}/leave"): (Case(consumes=True),),
    ("POST", f"{ORGANIZATION}/transfer-ownership"): (Case(a_member, consumes=True),),
    ("GET", f"{ORGANIZATION}/domains"): ONE,
    ("PUT", f"{ORGANIZATION}/domains/{{domain}}"): (Case({"provider": PROVIDER}),),
    ("DELETE", f"{ORGANIZATION}/domains/{{domain}}"): (Case(ids=a_domain),),
    ("GET", f"{ORGANIZATION}/group-roles"): ONE,
    ("PUT", f"{ORGANIZATION}/group-roles"): (Case(group("developer")),),
    ("DELETE", f"{ORGANIZATION}/group-roles"): (Case(query={"provider": PROVIDER, "group": "to-go"}, ids=a_group),),
    ("GET", f"{ORGANIZATION}/invitations"): ONE,
    ("POST", f"{ORGANIZATION}/invitations"): (
        Case(invitation("admin")),
        Case(invitation("owner"), permission="owners.manage"),
    ),
    ("DELETE", f"{ORGANIZATION}/invitations/{{invitation_id}}"): ONE,
    ("GET", f"{ORGANIZATION}/plans"): ONE,
    ("POST", f"{ORGANIZATION}/plans"): (Case(fresh_name),),
    ("GET", f"{ORGANIZATION}/plans/{{plan_id}}"): ONE,
    ("PATCH", f"{ORGANIZATION}/plans/{{plan_id}}"): (Case(LIMITS),),
    ("DELETE", f"{ORGANIZATION}/plans/{{plan_id}}"): (Case(ids=a_plan),),
    ("GET", f"{ORGANIZATION}/projects"): ONE,
    ("POST", f"{ORGANIZATION}/projects"): (Case(NAMED),),
    ("GET", ROBOTS): ONE,
    ("POST", ROBOTS): (Case(service_account("admin")),),
    ("GET", ROBOT): ONE,
    ("PATCH", ROBOT): (
        Case(fresh_name, ids=an_account),
        Case({"role": "admin"}, ids=an_account),
        Case({"status": "suspended"}, ids=an_account),
        Case(LIMITS, ids=an_account, permission="limits.manage"),
    ),
    ("DELETE", ROBOT): (Case(ids=an_account),),
    ("GET", f"{ROBOT}/tokens"): ONE,
    ("POST", f"{ROBOT}/tokens"): (Case(NAMED),),
    ("DELETE", f"{ROBOT}/tokens/{{token_id}}"): (Case(ids=an_account),),
    ("GET", f"{ORGANIZATION}/notices"): ONE,
    ("GET", f"{ORGANIZATION}/audit"): ONE,
    ("GET", f"{ORGANIZATION}/audit/export"): ONE,
    ("GET", "/api/v1/audit"): ONE,
    ("GET", "/api/v1/audit/export"): ONE,
    ("GET", PROJECT): ONE,
    ("PATCH", PROJECT): (Case(NAMED), Case(LIMITS)),
    ("GET", f"{PROJECT}/keys"): ONE,
    ("POST", f"{PROJECT}/keys"): (
        Case({"name": "Own"}),
        Case(lambda world, _: {"name": "Another's", "owner_id": world.keeper.id}, permission="keys.manage"),
    ),
    ("GET", KEY): ONE,
    ("PATCH", KEY): (Case(NAMED, ids=own_key), Case(NAMED, ids=somebodys_key, permission="keys.manage")),
    ("DELETE", KEY): (Case(ids=own_key), Case(ids=somebodys_key, permission="keys.manage")),
    ("POST", f"{KEY}/rotate"): (Case(ids=own_key), Case(ids=somebodys_key, permission="keys.manage")),
    ("POST", f"{KEY}/rotation/end"): (Case(ids=own_key), Case(ids=somebodys_key, permission="keys.manage")),
}
