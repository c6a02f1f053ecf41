"""The OpenAPI documents in docs/openapi are what the services serve, and docs/ROLES.md says who may ask what of them."""

import json
from pathlib import Path

from devstack.openapi import documents
from devstack.roles_page import page

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "openapi"


def test_the_committed_documents_are_current() -> None:
    """After a change of a route run `make events`."""
    for service, document in documents().items():
        assert json.loads((FOLDER / f"{service}.json").read_text()) == json.loads(json.dumps(document)), service


def test_the_committed_table_of_roles_is_current() -> None:
    """After a change of a role or a route run `make events`."""
    assert (DOCS / "ROLES.md").read_text() == page(documents())
