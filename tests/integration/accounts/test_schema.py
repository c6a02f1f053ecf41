"""The service holds what its OpenAPI document says, whatever it is sent: examples found by schemathesis."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from devstack.openapi import documents
from tests.integration.accounts.conftest import Asked
from tests.integration.accounts.people import Person
from tests.integration.accounts.role_matrix import World, make_world

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 12
"""Random ones for each route, beside those at the edges of each field."""
schema = schemathesis.openapi.from_dict(
    documents()["accounts"],
    config=SchemathesisConfig.from_dict(
        {
            "seed": 3,
            "suppress-health-check": ["all"],
            "generation": {"deterministic": True, "max-examples": EXAMPLES, "database": "none", "no-shrink": True},
        }
    ),
)


@dataclass
class Examiner:
    """An owner and operator, in an organization that the examples may spoil; signs in again when one has signed them out."""

    url: str
    session: requests.Session
    world: World
    person: Person

    def examine(self, case: schemathesis.Case) -> None:
        """Ask for what is there, where the example does not ask for nonsense, and check the answer."""
        names = case.path_parameters.keys() & self.world.ids
        case.path_parameters.update({name: self.world.ids[name] for name in names if _is_identifier(case.path_parameters[name])})
        answer = case.call_and_validate(self.url, self.session, self.person.bearer, CHECKS, timeout=60, allow_redirects=False)
        if answer.status_code == 401:
            self.person = self.world.people.sign_in_again(self.person)


def _is_identifier(value: object) -> bool:
    return isinstance(value, str) and len(value) == 36


@pytest.fixture
def examiner(asked: Asked) -> Iterator[Examiner]:
    """Fresh for each route."""
    world = make_world(asked.people)
    person = asked.people.join(world.organization, asked.people.make(operator=True), "owner")
    with requests.Session() as session:
        yield Examiner(asked.url, session, world, person)


@schema.parametrize()
def test_answers_are_as_documented(case: schemathesis.Case, examiner: Examiner) -> None:
    """No 5xx; status, content type, headers and body are declared."""
    examiner.examine(case)
