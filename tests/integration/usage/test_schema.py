"""Usage holds what its OpenAPI document says, whatever it is sent: examples found by schemathesis."""

from collections.abc import Iterator

import pytest
import requests
import schemathesis

from common.contracts.identifiers import uuid7
from tests.integration.described import Examination, described
from tests.integration.usage.conftest import Books, UsageProcess, eventually
from tests.integration.usage.gateway_side import GatewaySide, make_event
from tests.integration.usage.signer import Signer

schema = described("usage").include(path_regex="^/api/")


@pytest.fixture
async def project(usage: UsageProcess, gateway: GatewaySide, books: Books) -> str:
    """A project of org-1 with three requests today."""
    project, boot = uuid7(), uuid7()
    await gateway.put_organization()
    await gateway.put_project(project)
    await gateway.ship([make_event(project, boot) for _ in range(3)], boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 3", boot))
    return project


@pytest.fixture
def examination(usage: UsageProcess, project: str) -> Iterator[Examination]:
    """Of a project that is there."""
    with requests.Session() as session:
        yield Examination(usage.url, session, {"project_id": project}, str.isalnum)


@schema.parametrize()
def test_answers_are_as_documented(case: schemathesis.Case, examination: Examination, signer: Signer) -> None:
    """No 5xx; status, content type, headers and body are declared."""
    examination.ask(case, {"authorization": f"Bearer {signer.token({'org-1': 'owner'})}"})
