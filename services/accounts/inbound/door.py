"""The door: nobody passes without a valid token but to the public paths, and nothing larger than a management request."""

import re
import time
from collections.abc import Callable, Mapping, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from accounts.domain.principal import Origin, Principal
from accounts.domain.token_buckets import Taken
from accounts.inbound.errors import ABSENCES, REQUEST_ID, database_away
from accounts.inbound.rate_limit import limit_headers, limited
from accounts.use_cases.context import Context
from accounts.use_cases.identify_bearer import identify_bearer
from accounts.use_cases.limit_requests import RequestLimit
from common.client_address import Network, client_address
from common.contracts.identifiers import uuid7
from common.problems import Unauthenticated, render

LARGEST_BODY = 256 * 1024
LONGEST_AGENT = 200
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Door:
    """In front of all routes, so that a forgotten dependency cannot leave one open, and no stranger's body is read.

    Public paths answer without a token, `plain` ones do not even look for one, nor do they count against the rate limit. Every
    answer carries the request's id, the client's own if it has sent a well-formed one.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        is_public: Callable[[str], bool],
        plain: frozenset[str],
        limit: RequestLimit,
        proxies: Sequence[Network] = (),
    ) -> None:
        self._app, self._is_public, self._plain, self._limit, self._proxies = app, is_public, plain, limit, proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope["state"]["origin"] = origin = self._origin(scope, headers)
        send = _with_headers(send, {REQUEST_ID: origin.request_id})
        try:
            scope["state"]["caller"] = caller = await self._caller(scope, headers, origin)
        except ABSENCES:
            await database_away()(scope, receive, send)
            return
        taken = None if scope["path"] in self._plain else self._limit.take(caller, time.monotonic())
        if taken is not None:
            send = _with_headers(send, limit_headers(self._limit.per_minute, taken))
        refusal = self._refusal(scope["path"], headers, caller, taken)
        await (refusal or self._app)(scope, _bounded(receive), send)

    def _refusal(self, path: str, headers: Headers, caller: Principal, taken: Taken | None) -> ASGIApp | None:
        if taken is not None and taken.wait_seconds:
            return limited(self._limit.per_minute, taken)
        if caller.kind == "anonymous" and not self._is_public(path):
            return render(401, Unauthenticated.code, "Give a valid access token.")
        if _announced(headers) > LARGEST_BODY:
            return render(413, "content_too_large", f"At most {LARGEST_BODY} bytes.")
        return None

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


def _with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    async def extended(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(headers)
        await send(message)

    return extended


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
