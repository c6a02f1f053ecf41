"""The `/v1` routes below FastAPI: a plain ASGI callable that answers them and hands everything else on."""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from common.contracts.directory import EndpointScope
from common.contracts.identifiers import uuid7
from gateway.domain.address_failures import AddressFailures
from gateway.domain.caller import Caller
from gateway.domain.endpoints import SCOPES
from gateway.domain.refusals import InvalidKey, MethodNotAllowed, Refusal, RouteNotFound, ShuttingDown
from gateway.domain.refused_rate import too_fast
from gateway.inbound.confinement import Confinement
from gateway.inbound.errors import error_body, error_headers
from gateway.inbound.request_body import ClientGone, Receive, Scope, Send
from gateway.use_cases.identify_caller import IdentifyCaller

log = logging.getLogger(__name__)

Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[[Caller, Scope, Receive, Send], Awaitable[None]]

PREFIXES = ("/v1", "/api/v1")
RESPOND = "codexflow.respond"
"""Where the server puts its short way to send a whole answer; see gateway.server.Protocol."""

FLOW = "codexflow.flow"
"""And where it tells how far a client is behind; see gateway.server.Flow."""


class Overloaded(Refusal):
    """More requests in flight than this process takes."""

    status, code, type = 503, "overloaded", "server_error"


class HotPath:
    """`routes` maps (method, path below the prefix) to handlers; one without a scope is a KeyError. `draining` refuses new requests
    while the old ones finish.
    """

    def __init__(
        self,
        rest: Application,
        routes: dict[tuple[str, str], Handler],
        identify: IdentifyCaller,
        refused: Callable[[str], None],
        confinement: Confinement,
        failures: AddressFailures,
        *,
        max_in_flight: int,
    ) -> None:
        self._rest = rest
        self._identify = identify
        self._refused = refused
        self._confine = confinement.require
        self._network = confinement.network
        self._failures = failures
        self._max_in_flight = max_in_flight
        self._by_path: dict[str, dict[str, tuple[Handler, EndpointScope]]] = {}
        for (method, path), handler in routes.items():
            for prefix in PREFIXES:
                self._by_path.setdefault(prefix + path, {})[method] = handler, SCOPES[method, path]
        self.in_flight = 0
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection event of the server."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        path = scope["path"]
        handlers = self._by_path.get(path) or self._by_path.get(_template(path))
        if handlers is None and not path.startswith(("/v1/", "/api/v1/")):
            await self._rest(scope, receive, send)
            return
        self.in_flight += 1
        try:
            caller = self._admit(scope)
            handler, needed = self._handler(handlers, scope)
            if caller.confined:
                self._confine(caller, needed, scope)
            await handler(caller, scope, receive, send)
        except Refusal as refusal:
            await self.refuse(refusal, send)
        except ClientGone:
            log.debug("client gone before its answer was complete")
        except Exception:
            log.exception("a request failed")
            with suppress(RuntimeError):  # its answer has begun: the server closes the connection
                await self.refuse(Refusal("The gateway failed to answer this request."), send)
        finally:
            self.in_flight -= 1

    def _admit(self, scope: Scope) -> Caller:
        if self.draining:
            raise ShuttingDown("This gateway is being stopped; try again.", retry_after=1)
        if self.in_flight > self._max_in_flight:
            raise Overloaded("This gateway is answering as many requests as it can.", retry_after=1)
        key = _bearer(scope)
        if self._failures:
            self._refuse_guesser(scope, key)
        try:
            return self._identify(key)
        except InvalidKey:
            self._failures.failed(self._network(scope), time.monotonic())
            raise

    def _refuse_guesser(self, scope: Scope, key: str) -> None:
        """From an address that has sent many wrong keys only the names of real keys are looked at: who shares it with a guesser goes on."""
        address, now = self._network(scope), time.monotonic()
        wait = self._failures.wait_of(address, now)
        if wait > 0 and not self._identify.may_be(key):
            raise too_fast(
                "Too many requests with an incorrect API key from your network address.",
                scope="ip",
                scope_id=address,
                limit_name="failures_per_minute",
                limit=self._failures.per_minute,
                used=self._failures.used_of(address, now),
                seconds=wait,
                now=time.time(),
            )

    @staticmethod
    def _handler(handlers: dict[str, tuple[Handler, EndpointScope]] | None, scope: Scope) -> tuple[Handler, EndpointScope]:
        if handlers is None:
            raise RouteNotFound(f"Unknown request URL: {scope['method']} {scope['path'][:200]}.")
        handler = handlers.get(scope["method"])
        if handler is None:
            allowed = ", ".join(handlers)
            refusal = MethodNotAllowed(f"Not allowed: {scope['method'][:20]}; allowed: {allowed}.")
            refusal.headers = [(b"allow", allowed.encode())]
            raise refusal
        return handler

    async def refuse(self, refusal: Refusal, send: Send) -> None:
        """Answer with a refusal."""
        self._refused(refusal.code)
        body = error_body(refusal)
        headers = error_headers(refusal, body, refusal.request_id or uuid7())
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _bearer(scope: Scope) -> str:
    """The key as it was sent, "" without one."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            return str(value[7:].strip(), "latin-1") if value[:7].lower() == b"bearer " else ""
    return ""


def _template(path: str) -> str:
    """The path under which a route with a name in its middle is known; the others as they are."""
    before, marker, rest = path.partition("/requests/")
    name, slash, last = rest.partition("/")
    return f"{before}{marker}{{request_id}}/{last}" if slash and name and "/" not in last else path
