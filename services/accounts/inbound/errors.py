"""What a client is told when the database does not answer in time."""

from http import HTTPStatus
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import exc

from common import problems


class ProblemDocument(BaseModel):
    """RFC 9457 problem details; `code` is stable."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[dict[Literal["field", "message"], str]] | None = None


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": HTTPStatus(status).phrase,
        "content": {problems.MEDIA_TYPE: {"schema": ProblemDocument.model_json_schema()}},
    }
    for status in (401, 403, 404, 409, 413, 422, 429, 503)
}
"""The errors that routes may answer, for the OpenAPI document."""


def install(app: FastAPI) -> None:
    """Problem documents for everything, 503 for an absent database."""
    problems.install(app)

    async def away(_: Request, __: Exception) -> JSONResponse:
        return problems.render(503, problems.Unavailable.code, "The database does not answer; try again.")

    for absence in (exc.OperationalError, exc.InterfaceError, exc.TimeoutError):
        app.add_exception_handler(absence, away)
