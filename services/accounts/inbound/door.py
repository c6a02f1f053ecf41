"""The door: nobody passes without a valid token but to the public paths, and nothing larger than a management request."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from accounts.domain.principal import Origin, Principal
from accounts.inbound import errors
from accounts.use_cases.context import Context
from accounts.use_cases.identify_bearer import identify_bearer
from common.contracts.identifiers import uuid7
from common.problems import Unauthenticated, render

LARGEST_BODY = 256 * 1024
LONGEST_AGENT = 200


class Door:
    """In front of all routes, so that a forgotten dependency cannot leave one open, and no stranger's body is read."""

    def __init__(self, app: ASGIApp, *, public: frozenset[str]) -> None:
        self._app, self._public = app, public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            try:
                scope["state"]["caller"] = caller = await self._caller(scope, headers)
            except errors.ABSENCES:
                await errors.database_away()(scope, receive, send)
                return
            if caller.kind == "anonymous" and scope["path"] not in self._public:
                await render(401, Unauthenticated.code, "Give a valid access token.")(scope, receive, send)
                return
            if _announced(headers) > LARGEST_BODY:
                await render(413, "content_too_large", f"At most {LARGEST_BODY} bytes.")(scope, receive, send)
                return
            receive = _bounded(receive)
        await self._app(scope, receive, send)

    @staticmethod
    async def _caller(scope: Scope, headers: Headers) -> Principal:
        client = scope.get("client")
        origin = Origin(
            address=client[0] if client else "", agent=headers.get("user-agent", "")[:LONGEST_AGENT], request_id=uuid7()
        )
        scheme, _, token = headers.get("authorization", "").partition(" ")
        context: Context = scope["state"]["context"]
        known = await identify_bearer(context, token.strip(), origin) if scheme.lower() == "bearer" else None
        return known or Principal(kind="anonymous", id=None, origin=origin)


def _announced(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isdigit() else 0


def _bounded(receive: Receive) -> Receive:
    read = 0

    async def counted() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > LARGEST_BODY:
            raise HTTPException(413, f"At most {LARGEST_BODY} bytes.")
        return message

    return counted
