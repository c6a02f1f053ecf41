"""The door: nobody passes without a valid token but to the public paths, and nothing larger than a management request."""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from accounts.domain.principal import Origin, Principal
from accounts.inbound.errors import ABSENCES, REQUEST_ID, database_away
from accounts.use_cases.context import Context
from accounts.use_cases.identify_bearer import identify_bearer
from common.client_address import Network, client_address
from common.contracts.identifiers import uuid7
from common.problems import Unauthenticated, render

LARGEST_BODY = 256 * 1024
LONGEST_AGENT = 200
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Door:
    """In front of all routes, so that a forgotten dependency cannot leave one open, and no stranger's body is read.

    `public` paths, and all that begin with `public_below`, answer without a token, `plain` ones do not even look for one. Every
    answer carries the request's id, the client's own if it has sent a well-formed one.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        public: frozenset[str],
        public_below: tuple[str, ...] = (),
        plain: frozenset[str] = frozenset(),
        proxies: Sequence[Network] = (),
    ) -> None:
        self._app, self._public, self._plain, self._proxies = app, public | plain, plain, proxies
        self._public_below = public_below

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope["state"]["origin"] = origin = self._origin(scope, headers)
        send = _named(send, origin.request_id)
        try:
            scope["state"]["caller"] = caller = await self._caller(scope, headers, origin)
        except ABSENCES:
            await database_away()(scope, receive, send)
            return
        if caller.kind == "anonymous" and not self._is_public(scope["path"]):
            await render(401, Unauthenticated.code, "Give a valid access token.")(scope, receive, send)
            return
        if _announced(headers) > LARGEST_BODY:
            await render(413, "content_too_large", f"At most {LARGEST_BODY} bytes.")(scope, receive, send)
            return
        await self._app(scope, _bounded(receive), send)

    def _is_public(self, path: str) -> bool:
        return path in self._public or path.startswith(self._public_below)

    def _origin(self, scope: Scope, headers: Headers) -> Origin:
        client, given = scope.get("client"), headers.get(REQUEST_ID, "")
        forwarded = ",".join(headers.getlist("x-forwarded-for")).split(",")
        return Origin(
            address=client_address(client[0], forwarded, self._proxies) if client else "",
            agent=headers.get("user-agent", "")[:LONGEST_AGENT],
            request_id=given if _REQUEST_ID.fullmatch(given) else uuid7(),
        )

    async def _caller(self, scope: Scope, headers: Headers, origin: Origin) -> Principal:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        known = None
        if scheme.lower() == "bearer" and scope["path"] not in self._plain:
            context: Context = scope["state"]["context"]
            known = await identify_bearer(context, token.strip(), origin)
        return known or Principal(kind="anonymous", id=None, origin=origin)


def _named(send: Send, request_id: str) -> Send:
    async def with_id(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)[REQUEST_ID] = request_id
        await send(message)

    return with_id


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
