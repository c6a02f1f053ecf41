"""Every route that changes something leaves an entry in the audit log, which names the request."""

import psycopg
import pytest

from common.contracts.identifiers import uuid7
from common.contracts.roles import PERMISSIONS
from devstack.openapi import documents
from tests.integration.accounts.conftest import Asked, Service
from tests.integration.accounts.role_cases import CASES
from tests.integration.accounts.role_matrix import PASSWORD, Asker, World, make_world

CHANGING = [
    (method.upper(), path)
    for path, operations in documents()["accounts"]["paths"].items()
    for method in operations
    if method.upper() not in ("GET", "HEAD", "OPTIONS")
]
AUTH = "/api/v1/auth"
NOTHING_CHANGES = {
    ("POST", f"{AUTH}/password-reset"),  # is asked for an address that nobody has
    ("POST", "/api/v1/projects/{project_id}/keys/{key_id}/rotation/end"),  # of a key that is not being rotated
}
REFUSED_HERE = {
    ("POST", "/api/v1/bootstrap"),
    ("POST", f"{AUTH}/refresh"),
    ("POST", f"{AUTH}/token"),
    ("POST", f"{AUTH}/password-reset/confirm"),
    ("POST", f"{AUTH}/oidc/exchange"),
    ("POST", "/api/v1/invitations/preview"),
    ("POST", "/api/v1/invitations/accept"),
}
"""Asked with tokens that nobody was given; what they leave when they succeed is in the tests of each."""


@pytest.fixture(scope="module")
def world(asked: Asked) -> World:
    """One of everything."""
    return make_world(asked.people)


def somebody_who_may(world: World) -> Asker:
    """An owner of the organization who runs the installation, too."""
    person = world.people.make("boss", operator=True, password=PASSWORD)
    return Asker("boss", world.people.join(world.organization, person, "owner"), PERMISSIONS["owner"], operator=True)


@pytest.mark.parametrize("route", CHANGING, ids=" ".join)
def test_a_change_leaves_an_entry(accounts: Service, asked: Asked, world: World, route: tuple[str, str]):
    """Under the identifier of the request, with whoever asked."""
    method, path = route
    for case in CASES[route]:
        asker = somebody_who_may(world)
        ids = world.ids | case.ids(world, asker)
        request_id = f"audited-{uuid7()}"
        answer = asker.caller.request(
            method,
            asked.url + path.format_map(ids),
            params=dict(case.query) or None,
            json=case.content(world, asker),
            headers={"x-request-id": request_id},
        )
        assert answer.is_success is (route not in REFUSED_HERE), answer.text
        with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
            entries = connection.execute(
                "SELECT action, actor_id::text FROM audit_log WHERE request_id = %s", [request_id]
            ).fetchall()
        assert bool(entries) is (route not in NOTHING_CHANGES | REFUSED_HERE), (entries, answer.text)


def test_the_routes_are_there():
    """A document without routes would be no proof."""
    assert len(CHANGING) > 30
    assert set(CHANGING) >= NOTHING_CHANGES | REFUSED_HERE
