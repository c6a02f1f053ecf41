"""Every route, asked by everybody: what each role may do is what the table of roles says, and strangers learn nothing."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import httpx
import pytest

from common.contracts.roles import Permission
from devstack.openapi import documents
from tests.integration.accounts.conftest import Asked
from tests.integration.accounts.people import Caller
from tests.integration.accounts.role_cases import CASES, Case
from tests.integration.accounts.role_matrix import ASKERS, Asker, World, fresh_domain, make_world

Route = tuple[str, str]
ROUTES: dict[Route, dict[str, Any]] = {
    (method.upper(), path): operation
    for path, operations in documents()["accounts"]["paths"].items()
    for method, operation in operations.items()
}
KINDS = {"public", "self", "operator", *get_args(Permission)}
CLOSED = [route for route, operation in ROUTES.items() if operation.get("x-permission") != "public"]
OPEN = [route for route in ROUTES if route not in CLOSED]
NAMED = [route for route in CLOSED if "{" in route[1]]
OWNED = re.compile(r"\{(organization_id|project_id)\}")
CASES_FILE = "tests/integration/accounts/role_cases.py"
DOOR = "Give a valid access token."
UNTOLD = ("instance", "request_id")
"""Members of a problem that name the request and nothing else."""


@dataclass(frozen=True)
class Walk:
    """The world, everybody in it, and where to ask."""

    url: str
    client: httpx.Client
    world: World
    askers: dict[str, Asker]
    strangers: tuple[Asker, ...]
    theirs: dict[str, str]

    def asker(self, name: str, case: Case) -> Asker:
        """Somebody fresh where the case changes who asks."""
        return ASKERS[name](self.world) if case.consumes else self.askers[name]

    def ask(self, caller: Caller, route: Route, case: Case, ids: Mapping[str, str], content: Any) -> httpx.Response:
        method, path = route
        return caller.request(method, self.url + path.format_map(ids), params=dict(case.query) or None, json=content)


@pytest.fixture(scope="module")
def walk(asked: Asked) -> Walk:
    """Everybody is there."""
    world = make_world(asked.people)
    stranger = asked.people.make("stranger")
    organization = asked.people.organization(stranger, "Elsewhere")["id"]
    project = stranger.post(f"/organizations/{organization}/projects", json={"name": "Elsewhere"}).json()["id"]
    robot = asked.people.service_account(organization, "admin")
    strangers = (Asker("stranger", stranger, None), Asker("strange service account", robot, None, person=False))
    askers = {name: make(world) for name, make in ASKERS.items()}
    theirs = {"organization_id": organization, "project_id": project}
    return Walk(asked.url, asked.client, world, askers, strangers, theirs)


def cases_of(route: Route) -> tuple[Case, ...]:
    """How the route is asked."""
    assert route in CASES, f"{' '.join(route)} has no case: add one to CASES in {CASES_FILE}"
    return CASES[route]


def permission_of(route: Route, case: Case) -> str:
    """What asking needs."""
    permission = case.permission or ROUTES[route].get("x-permission", "nothing")
    assert permission in KINDS, (
        f'{" ".join(route)} does not say who may ask it: give it openapi_extra={{"x-permission": …}}, one of {sorted(KINDS)}'
    )
    return permission


def missing_ids() -> dict[str, str]:
    """Identifiers of nothing."""
    names = set(re.findall(r"\{(\w+)\}", "".join(path for _, path in ROUTES)))
    return {name: str(uuid.uuid4()) for name in names} | {"domain": fresh_domain(), "provider": "nobody"}


def verdict(asker: Asker, permission: str, case: Case, path: str) -> int:
    """200 for whatever means that the asker may, else the status of the refusal."""
    if case.anyone:
        return 200 if permission == "self" or asker.person or asker.may(permission) else 403
    outside = asker.granted is None and OWNED.search(path) is not None
    if permission == "operator" or not outside or (permission == "self" and not asker.person):
        return 200 if asker.may(permission) else 403
    return 404


def told(answer: httpx.Response) -> tuple[int, str | None, dict[str, Any]]:
    """What an answer tells."""
    body = {name: value for name, value in answer.json().items() if name not in UNTOLD}
    return answer.status_code, answer.headers.get("content-type"), body


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_every_route_says_who_may_ask_it_and_is_walked(route: Route):
    """Also each field that needs a permission of its own."""
    cases = cases_of(route)
    walked = {permission_of(route, case) for case in cases}
    wanted = {ROUTES[route].get("x-permission"), *ROUTES[route].get("x-permission-by-field", {}).values()}
    assert wanted <= walked or cases[0].anyone, f"add cases that need {wanted - walked} to {' '.join(route)} in {CASES_FILE}"


def test_no_case_is_left_of_a_route_that_is_gone():
    """The table is what the service serves."""
    gone = set(CASES) - set(ROUTES)
    assert not gone, f"remove these from CASES in {CASES_FILE}: {gone}"


@pytest.mark.parametrize("route", OPEN, ids=" ".join)
def test_public_routes_answer_without_a_token(walk: Walk, route: Route):
    """By themselves: refusals are theirs, not the door's."""
    for case in cases_of(route):
        method, path = route
        content = case.content(walk.world, walk.askers["viewer"])
        url = walk.url + path.format_map(walk.world.ids)
        answer = walk.client.request(method, url, params=dict(case.query) or None, json=content)
        assert answer.is_success or answer.status_code in case.accepted, answer.text
        assert DOOR not in answer.text


@pytest.mark.parametrize("route", CLOSED, ids=" ".join)
def test_nobody_passes_without_a_token(walk: Walk, route: Route):
    """401, whether the object exists or not, for no token and for a wrong one."""
    method, path = route
    case = cases_of(route)[0]
    content = case.content(walk.world, walk.askers["viewer"])
    for ids in (walk.world.ids, missing_ids()):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic d3Jvbmc6d3Jvbmc="}):
            url = walk.url + path.format_map(ids)
            answer = walk.client.request(method, url, params=dict(case.query) or None, json=content, headers=headers)
            assert (answer.status_code, answer.json()["detail"]) == (401, DOOR)


@pytest.mark.parametrize("route", CLOSED, ids=" ".join)
def test_everybody_may_what_the_table_says(walk: Walk, route: Route):
    """Who has the permission gets through, who belongs to the organization without it gets 403, others 404."""
    wrong = []
    for case in cases_of(route):
        permission = permission_of(route, case)
        for name in ASKERS:
            asker = walk.asker(name, case)
            wanted = verdict(asker, permission, case, route[1])
            ids = walk.world.ids | case.ids(walk.world, asker)
            answer = walk.ask(asker.caller, route, case, ids, case.content(walk.world, asker))
            status = 200 if answer.is_success or answer.status_code in case.accepted else answer.status_code
            if status != wanted:
                wrong.append(f"{name} needs {permission}: {wanted} wanted, got {answer.status_code} {answer.text[:300]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("route", NAMED, ids=" ".join)
def test_what_is_foreign_is_answered_like_what_is_missing(walk: Walk, route: Route):
    """The same status and body for somebody else's object and for none, and below one's own organization too."""
    for case in cases_of(route):
        permission = permission_of(route, case)
        for stranger in walk.strangers:
            content = case.content(walk.world, stranger)
            refused = 403 if permission == "operator" or (permission == "self" and not stranger.person) else 404
            nothing = told(walk.ask(stranger.caller, route, case, missing_ids(), content))
            foreign = told(walk.ask(stranger.caller, route, case, walk.world.ids, content))
            assert foreign == nothing
            assert nothing[0] == refused


@pytest.mark.parametrize("route", [each for each in NAMED if len(re.findall("{", each[1])) > 1], ids=" ".join)
def test_what_is_foreign_is_missing_below_ones_own_too(walk: Walk, route: Route):
    """Somebody else's object by a path through one's own organization or project is not there."""
    owner = walk.strangers[0]
    for case in cases_of(route):
        content = case.content(walk.world, owner)
        nothing = told(walk.ask(owner.caller, route, case, missing_ids() | walk.theirs, content))
        foreign = told(walk.ask(owner.caller, route, case, walk.world.ids | walk.theirs, content))
        assert foreign == nothing
        assert nothing[0] == (403 if permission_of(route, case) == "operator" else 404)


@pytest.mark.parametrize("route", [each for each in NAMED if ROUTES[each].get("x-permission") == "operator"], ids=" ".join)
def test_operators_do_not_find_what_is_missing(walk: Walk, route: Route):
    """404 also for those who may."""
    for case in cases_of(route):
        operator = walk.askers["operator"]
        answer = walk.ask(operator.caller, route, case, missing_ids(), case.content(walk.world, operator))
        assert answer.status_code == 404


def test_the_world_is_not_empty():
    """Walks would pass over a document without routes."""
    assert len(CLOSED) > 40
    assert len(OPEN) > 10
