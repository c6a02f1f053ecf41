"""The small `/v1` routes: models and quota."""

from typing import Any

import msgspec

from common.contracts.identifiers import uuid7
from gateway.domain.caller import Caller
from gateway.domain.routing import Routes
from gateway.inbound.request_body import Receive, Scope, Send
from gateway.use_cases.list_models import list_models
from gateway.use_cases.show_quota import ShowQuota


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

    def __init__(self, show: ShowQuota) -> None:
        self._show = show

    async def __call__(self, caller: Caller, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        await _send_json(send, self._show(caller))


async def _send_json(send: Send, value: Any) -> None:
    body = msgspec.json.encode(value)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", uuid7().encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
