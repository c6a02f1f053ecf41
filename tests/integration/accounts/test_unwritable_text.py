"""Text that PostgreSQL cannot keep (NUL, lone surrogates) is refused wherever it is sent: 422, never a failure of ours."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from devstack.openapi import documents
from tests.integration.accounts.conftest import Asked
from tests.integration.accounts.role_cases import CASES
from tests.integration.accounts.role_matrix import Asker, World, make_world

DOCUMENT = documents()["accounts"]
NUL, SURROGATE = "a\x00b", "\ud800"
UNWRITABLE = (NUL, [NUL], {NUL: "a"}, {"a": NUL}, SURROGATE)
UNWRITTEN = {"password", "current_password", "token", "state", "code", "iss"}
"""Fields that are compared, or of which only a digest is looked up: they may be anything, and are then wrong."""
Place = tuple[str, str, str]
"""Method, path, and the name of a field or parameter."""


def fields() -> list[Place]:
    """Every field of every body."""
    return [
        (method.upper(), path, name)
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        for name in _properties(operation.get("requestBody", {}))
    ]


def parameters(*kinds: str) -> list[Place]:
    """Every parameter of these kinds."""
    return [
        (method.upper(), path, parameter["name"])
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        for parameter in operation.get("parameters", ())
        if parameter["in"] in kinds
    ]


def _properties(body: dict[str, Any]) -> list[str]:
    schema = body.get("content", {}).get("application/json", {}).get("schema", {})
    references = [each["$ref"] for each in (schema, *schema.get("anyOf", ())) if "$ref" in each]
    return [name for each in references for name in DOCUMENT["components"]["schemas"][each.split("/")[-1]]["properties"]]


@pytest.fixture(scope="module")
def world(asked: Asked) -> World:
    """An organization of an owner who runs the installation too."""
    return make_world(asked.people)


@pytest.fixture(scope="module")
def asker(asked: Asked, world: World) -> Asker:
    """May do everything."""
    person = asked.people.join(world.organization, asked.people.make(operator=True), "owner")
    return Asker("everything", person, None)


def refusals(name: str) -> set[int]:
    """The statuses that such text may meet."""
    return {401, 403, 404, 422} if name in UNWRITTEN else {422}


@pytest.mark.parametrize("place", fields(), ids=" ".join)
def test_unwritable_text_in_a_body_is_refused(asked: Asked, world: World, asker: Asker, place: Place):
    """As text, in a list, as a name and as a value, beside fields that are valid."""
    method, path, name = place
    case = CASES[method, path][0]
    for value in UNWRITABLE:
        body = json.dumps({**(case.content(world, asker) or {}), name: value})
        url, headers = asked.url + path.format_map(world.ids), {"content-type": "application/json"}
        answer = asker.caller.request(method, url, content=body, headers=headers)
        assert answer.status_code in refusals(name), (value, answer.text)


@pytest.mark.parametrize("place", parameters("query", "path"), ids=" ".join)
def test_unwritable_text_in_an_address_is_refused(asked: Asked, world: World, asker: Asker, place: Place):
    """In a path or a query."""
    method, path, name = place
    case = CASES[method, path][0]
    address = asked.url + path.format_map(world.ids | {name: quote(NUL)})
    answer = asker.caller.request(method, address, params={**case.query, name: NUL}, json=case.content(world, asker))
    assert answer.status_code in refusals(name), answer.text
