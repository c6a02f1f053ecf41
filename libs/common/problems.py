"""Errors of the management APIs as RFC 9457 problem details, rendered by one function."""

from http import HTTPStatus
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"


class ProblemDocument(BaseModel):
    """RFC 9457 problem details; `code` is stable."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[dict[Literal["field", "message"], str]] | None = None


class Problem(Exception):
    """An expected refusal: status, stable `code`, a sentence for people, and members a client can act on."""

    status = 500
    code = "internal_error"

    def __init__(self, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members = members


class Unauthenticated(Problem):
    """No valid credentials; one answer for every cause."""

    status, code = 401, "unauthenticated"


class Forbidden(Problem):
    """The caller belongs to the organization but its role does not permit this."""

    status, code = 403, "forbidden"


class NotFound(Problem):
    """Missing, or somebody else's: the same answer."""

    status, code = 404, "not_found"


class Conflict(Problem):
    """The state does not allow it (already there, already revoked)."""

    status, code = 409, "conflict"


class PreconditionFailed(Problem):
    """If-Match named another version than the present one."""

    status, code = 412, "precondition_failed"


class Invalid(Problem):
    """Well-formed but not acceptable; `errors` names the fields."""

    status, code = 422, "invalid"


class TooManyRequests(Problem):
    """Slow down; give `retry_after_seconds` (a whole number), it becomes the Retry-After header."""

    status, code = 429, "too_many_requests"


class Unavailable(Problem):
    """A dependency is away; Retry-After says when to come back."""

    status, code = 503, "unavailable"


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These errors as routes declare them, for the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": ProblemDocument.model_json_schema()}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def render(status: int, code: str, detail: str, **members: Any) -> JSONResponse:
    """A problem as a response; a 401 carries its challenge, a 429 and a 503 their Retry-After."""
    wait = {"retry-after": str(members.get("retry_after_seconds", 1))}
    headers = {401: {"www-authenticate": "Bearer"}, 429: wait, 503: wait}.get(status)
    body = {
        "type": f"https://codexflow.dev/problems/{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **members,
    }
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Make every error of the application a problem document, unknown paths and validation included."""

    @app.exception_handler(Problem)
    async def expected(_: Request, problem: Problem) -> JSONResponse:
        return render(problem.status, problem.code, problem.detail, **problem.members)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, problem: RequestValidationError) -> JSONResponse:
        errors = [
            {"field": _printable(".".join(map(str, error["loc"][1:])) or str(error["loc"][0])), "message": error["msg"]}
            for error in problem.errors()
        ]
        return render(422, "invalid", "The request is not valid.", errors=errors)

    @app.exception_handler(HTTPException)
    async def http(_: Request, problem: HTTPException) -> JSONResponse:
        code = HTTPStatus(problem.status_code).name.lower()
        response = render(problem.status_code, code, str(problem.detail))
        response.headers.update(problem.headers or {})
        return response

    @app.exception_handler(Exception)
    async def unexpected(_: Request, __: Exception) -> JSONResponse:
        return render(500, "internal_error", "Something went wrong on our side.")


def _printable(field: str) -> str:
    """A field's name as a client may have invented it: lone surrogates, which JSON allows and UTF-8 does not, replaced; cut."""
    return field[:200].encode("utf-8", "replace").decode()
