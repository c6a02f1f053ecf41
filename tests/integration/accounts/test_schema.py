"""Accounts holds what its OpenAPI document says, whatever it is sent: examples found by schemathesis."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests
import schemathesis

from tests.integration.accounts.conftest import Asked
from tests.integration.accounts.people import People, Person
from tests.integration.accounts.role_matrix import make_world
from tests.integration.described import Examination, described

schema = described("accounts")


@dataclass
class Examiner:
    """An owner and operator, in an organization that the examples may spoil; signs in again when one has signed them out."""

    people: People
    person: Person
    examination: Examination

    def examine(self, case: schemathesis.Case) -> None:
        if self.examination.ask(case, self.person.bearer) == 401:
            self.person = self.people.sign_in_again(self.person)


@pytest.fixture
def examiner(asked: Asked) -> Iterator[Examiner]:
    """Fresh for each route."""
    world = make_world(asked.people)
    person = asked.people.join(world.organization, asked.people.make(operator=True), "owner")
    with requests.Session() as session:
        yield Examiner(asked.people, person, Examination(asked.url, session, world.ids, is_uuid))


def is_uuid(text: str) -> bool:
    """Looks like one: nonsense stays nonsense."""
    return len(text) == 36


@schema.parametrize()
def test_answers_are_as_documented(case: schemathesis.Case, examiner: Examiner) -> None:
    """No 5xx; status, content type, headers and body are declared."""
    examiner.examine(case)
