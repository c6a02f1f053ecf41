"""A service's OpenAPI document as schemathesis asks by it, the same examples in every run, and what every answer is checked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
from schemathesis.specs.openapi.schemas import OpenApiSchema

from devstack.openapi import documents

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 12
"""Random ones for each route, beside those at the edges of each field."""
CONFIGURATION = {
    "seed": 3,
    "suppress-health-check": ["all"],  # they measure time and dislike fixtures that many examples share
    "generation": {"deterministic": True, "max-examples": EXAMPLES, "database": "none", "no-shrink": True},
}


def described(service: str) -> OpenApiSchema:
    """The document."""
    return schemathesis.openapi.from_dict(documents()[service], config=SchemathesisConfig.from_dict(CONFIGURATION))


@dataclass(frozen=True)
class Examination:
    """Where to ask. `ids` are put into paths wherever the example has something that `is_sensible`, so that it finds an object."""

    url: str
    session: requests.Session
    ids: Mapping[str, str]
    is_sensible: Callable[[str], bool]

    def ask(self, case: schemathesis.Case, headers: dict[str, str]) -> int:
        """The status of an answer that is as documented."""
        for name in case.path_parameters.keys() & self.ids.keys():
            if self.is_sensible(str(case.path_parameters[name])):
                case.path_parameters[name] = self.ids[name]
        answer = case.call_and_validate(self.url, self.session, headers, CHECKS, timeout=60, allow_redirects=False)
        return int(answer.status_code)
