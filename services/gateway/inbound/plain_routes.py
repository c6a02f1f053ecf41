"""The small `/v1` routes: models, quota, estimate, explanations."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from common.contracts.identifiers import uuid7
from gateway.domain.caller import Caller
from gateway.domain.chat_request import LONGEST_USER, end_user_of
from gateway.domain.refusals import BadRequest
from gateway.domain.routing import Routes
from gateway.inbound.request_body import Receive, Scope, Send, read_body
from gateway.inbound.waiting_requests import WaitingRequests
from gateway.use_cases.estimate_request import EstimateRequest
from gateway.use_cases.explain_request import ExplainRequest
from gateway.use_cases.list_models import list_models
from gateway.use_cases.show_quota import ShowQuota

LONGEST_REQUEST_ID = 200

Address = Callable[[Scope], str]
"""A client's address, as limits go by it."""


class ModelsRoute:
    """`GET /v1/models`: what the key may use, in OpenAI's shape."""

    def __init__(self, routes: Routes, created: int) -> None:
        self._routes = routes
        self._created = created

    async def __call__(self, caller: Caller, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        models = [
            {"id": name, "object": "model", "created": self._created, "owned_by": "codexflow"}
            for name in list_models(self._routes, caller)
        ]
        await _send_json(send, {"object": "list", "data": models})


class QuotaRoute:
    """`GET /v1/quota`: where the key's budget stands."""

    def __init__(self, show: ShowQuota, address: Address) -> None:
        self._show = show
        self._address = address

    async def __call__(self, caller: Caller, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request; raises Refusal. `?user=`: with the limits of that end user."""
        await _send_json(send, self._show(caller, self._address(scope), _end_user(scope)))


class EstimateRoute:
    """`POST /v1/estimate`: what a chat completion of this body would be, without making it."""

    def __init__(self, estimate: EstimateRequest, waiting: WaitingRequests, address: Address, *, max_body: int) -> None:
        self._estimate = estimate
        self._waiting = waiting
        self._address = address
        self._max_body = max_body

    async def __call__(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises Refusal."""
        tier = next(
            (value.decode("latin-1").strip().lower() for name, value in scope["headers"] if name == b"x-codexflow-tier"), None
        )
        with self._waiting.begin(receive) as waiting:
            body = await read_body(scope, receive, self._max_body)
            waiting.reading = False
            told = await self._estimate(caller, body, tier, self._address(scope))
        await _send_json(send, told)


class ExplainRoute:
    """`GET /v1/requests/{id}/explain`: why a request of the key's project was answered as it was."""

    def __init__(self, explain: ExplainRequest) -> None:
        self._explain = explain

    async def __call__(self, caller: Caller, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request; raises Refusal."""
        request_id = scope["path"].split("/")[-2][:LONGEST_REQUEST_ID]
        await _send_json(send, await self._explain(caller, request_id))


def _end_user(scope: Scope) -> str | None:
    """Raises BadRequest."""
    found = parse_qs(scope["query_string"].decode(errors="replace"), keep_blank_values=True).get("user")
    if found is None:
        return None
    if len(found[0]) > LONGEST_USER:
        raise BadRequest(f"`user` is longer than {LONGEST_USER} characters.", param="user")
    return end_user_of(found[0])


async def _send_json(send: Send, value: Any) -> None:
    body = msgspec.json.encode(value)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", uuid7().encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
