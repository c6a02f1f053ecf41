"""Idempotency-Key: a POST that is repeated with the same key takes effect once, and its answer is given again.

In front of all routes that need a token, so that a new route has it without a word of its own; public ones, each of which works
once by what is in its body, do not look at the header.
"""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from accounts.domain.idempotency import Ask, Claim, GivenAnswer, is_key
from accounts.inbound.errors import ABSENCES, database_away
from accounts.use_cases.answer_once import claim_answer, settle_answer
from accounts.use_cases.context import Context
from common.problems import Conflict, Invalid, Problem, render

HEADER = "idempotency-key"
REPLAYED = (b"idempotency-replayed", b"true")
RETRY_SECONDS = 1
_PARAMETER: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A name of your own for this request, a UUID for instance. Repeated with the same key within 24 hours, it takes "
    "effect once, and the answer is given again with `Idempotency-Replayed: true`.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}


class Once:
    """Between the door, which says who calls, and the routes."""

    def __init__(self, app: ASGIApp, *, is_public: Callable[[str], bool]) -> None:
        self._app, self._is_public = app, is_public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        keys = Headers(scope=scope).getlist(HEADER) if scope["type"] == "http" and scope["method"] == "POST" else []
        if not keys or self._is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        context: Context = scope["state"]["context"]
        try:
            ask = await _ask(keys, scope, receive)
            claimed = await claim_answer(context, scope["state"]["caller"], ask)
        except ABSENCES:
            await database_away()(scope, receive, send)
        except (Problem, HTTPException) as refusal:
            await _refused(refusal)(scope, receive, send)
        except ClientDisconnect:
            return
        else:
            if isinstance(claimed, GivenAnswer):
                await _give(claimed, send, REPLAYED)
            else:
                await self._run(scope, _again(ask.body, receive), send, context, claimed, ask.key)

    async def _run(self, scope: Scope, receive: Receive, send: Send, context: Context, held: Claim, key: str) -> None:
        """The answer leaves only when it has been kept."""
        start: Message = {}
        body = bytearray()

        async def collected(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                answer = GivenAnswer(start["status"], list(start["headers"]), bytes(body))
                await settle_answer(context, held, key, answer)
                await _give(answer, send)

        try:
            await self._app(scope, receive, collected)
        except Exception:
            await settle_answer(context, held, key, None)
            raise


async def _ask(keys: list[str], scope: Scope, receive: Receive) -> Ask:
    if len(keys) != 1 or not is_key(keys[0]):
        raise Invalid(
            "Idempotency-Key: give one name of 1 to 255 printable ASCII characters.",
            errors=[{"field": HEADER, "message": "not a key"}],
        )
    body = await Request(scope, receive).body()
    return Ask(key=keys[0], path=scope["path"], query=scope["query_string"], body=body)


def _refused(refusal: Problem | HTTPException) -> ASGIApp:
    if isinstance(refusal, HTTPException):  # the body was too large
        return render(refusal.status_code, "content_too_large", refusal.detail)
    answer = render(refusal.status, refusal.code, refusal.detail, **refusal.members)
    if isinstance(refusal, Conflict):
        answer.headers["retry-after"] = str(RETRY_SECONDS)
    return answer


def _again(body: bytes, receive: Receive) -> Receive:
    """The body that has been read, and then whatever comes: the client's leaving."""
    unread = [body]

    async def read() -> Message:
        return {"type": "http.request", "body": unread.pop(), "more_body": False} if unread else await receive()

    return read


async def _give(answer: GivenAnswer, send: Send, *more: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, *more]})
    await send({"type": "http.response.body", "body": answer.body})


class DocumentedApp(FastAPI):
    """An application whose OpenAPI document shows the header wherever it is looked at."""

    def openapi(self) -> dict[str, Any]:
        """Made once."""
        if self.openapi_schema is None:
            for operations in super().openapi()["paths"].values():
                post = operations.get("post", {})
                if post.get("x-permission", "public") != "public":
                    post.setdefault("parameters", []).append(_PARAMETER)
        return super().openapi()
