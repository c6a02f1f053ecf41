"""Every report, asked by everybody: who has usage.read in the project's organization sees it, nobody else learns that it exists."""

from typing import Any, get_args

import httpx
import pytest

from common.contracts.identifiers import uuid7
from common.contracts.roles import Role, permits
from devstack.openapi import documents
from tests.integration.usage.conftest import UsageProcess, eventually
from tests.integration.usage.gateway_side import GatewaySide
from tests.integration.usage.signer import Signer

ROUTES: dict[tuple[str, str], dict[str, Any]] = {
    (method.upper(), path): operation
    for path, operations in documents()["usage"]["paths"].items()
    for method, operation in operations.items()
}
CLOSED = [route for route, operation in ROUTES.items() if operation.get("x-permission") != "public"]


KNOWN: set[str] = set()
"""Projects that there are: in the place of an organization's id, their organization's stands for them."""


async def asked(usage: UsageProcess, route: tuple[str, str], project: str, token: str | None) -> httpx.Response:
    """The answer; asked again while the books cannot be had."""
    path = route[1].format(project_id=project, organization_id="org-1" if project in KNOWN else project)
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    answers: list[httpx.Response] = []
    async with httpx.AsyncClient(base_url=usage.url, trust_env=False, timeout=30) as client:

        async def answered() -> bool:
            answers.append(await client.request(route[0], path, headers=headers))
            return answers[-1].status_code != 503

        await eventually(answered)
    return answers[-1]


@pytest.fixture
async def project(gateway: GatewaySide, usage: UsageProcess, signer: Signer) -> str:
    """A project of org-1 that usage has heard of."""
    project = uuid7()
    KNOWN.add(project)
    await gateway.put_organization()
    await gateway.put_project(project)
    known = signer.token({"org-1": "owner"})

    async def heard() -> bool:
        return (await asked(usage, CLOSED[0], project, known)).status_code == 200

    await eventually(heard)
    return project


def test_every_route_says_who_may_ask_it() -> None:
    """Reports need usage.read, all else is public; a new kind of route needs a test of its own here."""
    said = {operation.get("x-permission", f"nothing: {route}") for route, operation in ROUTES.items()}
    assert said == {"public", "usage.read"}
    assert len(CLOSED) >= 3


async def test_everybody_may_what_the_table_says(usage: UsageProcess, signer: Signer, project: str) -> None:
    """Each role, of a person and of a service account; with a narrowed token what it is narrowed to."""
    for route in CLOSED:
        for role in get_args(Role):
            wanted = 200 if permits(role, "usage.read") else 403
            for kind in ("user", "service_account"):
                token = signer.token({"org-1": role, "org-2": "viewer"}, kind=kind)
                assert (await asked(usage, route, project, token)).status_code == wanted, (route, role, kind)
        for scopes, wanted in ((("usage.read",), 200), (("projects.read", "audit.read"), 403), ((), 403)):
            token = signer.token({"org-1": "owner"}, scopes=scopes)
            assert (await asked(usage, route, project, token)).status_code == wanted, (route, scopes)


async def test_what_is_foreign_is_answered_like_what_is_missing(usage: UsageProcess, signer: Signer, project: str) -> None:
    """The same 404 to the owner of another organization, to people without any, and to narrowed tokens."""
    for route in CLOSED:
        for roles, more in (({"org-2": "owner"}, {}), ({}, {}), ({"org-2": "owner"}, {"scopes": ("usage.read",)})):
            token = signer.token(roles, **more)
            foreign, missing = [await asked(usage, route, each, token) for each in (project, uuid7())]
            assert (foreign.status_code, foreign.json()) == (missing.status_code, missing.json())
            assert missing.status_code == 404


async def test_nobody_passes_without_a_token(usage: UsageProcess, signer: Signer, project: str) -> None:
    """The same 401 for a project that exists and for one that does not."""
    for route in CLOSED:
        for token in (None, "wrong", signer.token({"org-1": "owner"}, lifetime_seconds=-5)):
            known, missing = [await asked(usage, route, each, token) for each in (project, uuid7())]
            assert known.json() == missing.json()
            assert (known.status_code, missing.status_code) == (401, 401)
