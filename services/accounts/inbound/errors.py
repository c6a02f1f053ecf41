"""What a client is told when the database does not answer in time."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import exc

from accounts.domain.principal import Origin
from common import problems

PROBLEMS = problems.documented(400, 401, 403, 404, 409, 412, 413, 422, 429, 503)
"""The errors that routes may answer, for the OpenAPI document."""

ABSENCES = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError)
"""What is raised when the database does not answer in time."""

REQUEST_ID = "x-request-id"
"""The header that names a request, in answers and in the audit log."""


def database_away() -> JSONResponse:
    """503: nothing was decided."""
    return problems.render(503, problems.Unavailable.code, "The database does not answer; try again.")


def install(app: FastAPI) -> None:
    """Problem documents for everything, 503 for an absent database."""
    problems.install(app)

    async def away(_: Request, __: Exception) -> JSONResponse:
        return database_away()

    for absence in ABSENCES:
        app.add_exception_handler(absence, away)

    async def unexpected(request: Request, _: Exception) -> JSONResponse:
        answer = problems.render(500, "internal_error", "Something went wrong on our side.")
        origin: Origin = getattr(request.state, "origin", Origin())  # this answer does not pass the door on its way out
        answer.headers[REQUEST_ID] = origin.request_id
        return answer

    app.add_exception_handler(Exception, unexpected)
