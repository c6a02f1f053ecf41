"""The OpenAPI documents in docs/openapi are what the services serve."""

import json
from pathlib import Path

from devstack.openapi import documents

FOLDER = Path(__file__).parents[2] / "docs" / "openapi"


def test_the_committed_documents_are_current() -> None:
    """After a change of a route run `make events`."""
    for service, document in documents().items():
        assert json.loads((FOLDER / f"{service}.json").read_text()) == json.loads(json.dumps(document)), service
