"""Versions over HTTP: an object's version is its ETag, and If-Match makes a change conditional on it (RFC 9110 §13.1.1)."""

import re
from typing import Annotated

from fastapi import Depends, Header, Response

from common.problems import Invalid

_TAG = re.compile(r'"v(\d{1,18})"')


def tag(response: Response, version: int) -> None:
    """Give the answer the ETag of a version."""
    response.headers["etag"] = f'"v{version}"'


async def _expected(
    if_match: Annotated[
        str | None, Header(description="The ETag of the state that you have read; else 412", max_length=200)
    ] = None,
) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    found = _TAG.fullmatch(if_match.strip())
    if found is None:
        raise Invalid(
            "If-Match: give one ETag as this API answered it.", errors=[{"field": "if-match", "message": "not an ETag"}]
        )
    return int(found[1])


ExpectedVersion = Annotated[int | None, Depends(_expected)]
