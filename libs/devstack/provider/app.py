"""The ASGI application: paths, keys, models, faults, and the row of every call."""

import hmac
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from devstack.provider.calls import Call
from devstack.provider.chat import ChatCompletions
from devstack.provider.completions import Completions
from devstack.provider.embeddings import Embeddings
from devstack.provider.exchange import ClientLeft, ConnectionCut, Exchange, Receive, Scope, Send
from devstack.provider.faults import NO_FAULT, Fault, refusal_of, requested_fault
from devstack.provider.ledger import Ledger, Row
from devstack.provider.refusals import Refusal, unknown_model, wrong_key

MODELS: Final = ("sim-fast-1", "sim-fast-2", "sim-deep-1", "sim-deep-2", "sim-embed-1")


class Endpoint(Protocol):
    """A request that was read: what it costs is known, nothing of it is generated yet."""

    name: str
    model: str
    stream: bool
    prompt_tokens: int

    async def generate(self, call: Call) -> None: ...
    async def answer(self, call: Call) -> None: ...
    async def stream_answer(self, call: Call) -> None: ...


_ENDPOINTS: Final[dict[str, tuple[str, Callable[[bytes], Endpoint]]]] = {
    "/chat/completions": (ChatCompletions.name, ChatCompletions),
    "/completions": (Completions.name, Completions),
    "/embeddings": (Embeddings.name, Embeddings),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """`pace_ms` is the time per token, streamed or not; without `api_keys` every caller is served."""

    pace_ms: float = 0.0
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    aliases: tuple[str, ...] = ()
    ledger_file: Path | None = None


class Provider:
    """A plain ASGI callable, to be served by uvicorn with `exchange.ProviderProtocol`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = tuple(f"Bearer {key}".encode() for key in settings.api_keys)
        self._started_at = int(time.time())
        self.ledger = Ledger(settings.ledger_file)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        path = exchange.path.removeprefix("/v1")
        try:
            if exchange.method == "POST" and path in _ENDPOINTS:
                await self._serve_call(exchange, *_ENDPOINTS[path])
            else:
                await self._serve_other(exchange, path)
        except Refusal as refusal:
            await exchange.reply(refusal.status, refusal.body(), headers=refusal.headers)
        except (ClientLeft, ConnectionCut):
            await exchange.settle()

    async def _serve_call(self, exchange: Exchange, name: str, read: Callable[[bytes], Endpoint]) -> None:
        attempt = exchange.header(b"x-codexflow-attempt") or ""
        row = self.ledger.begin(
            request_id=exchange.header(b"x-request-id"),
            attempt=int(attempt) if attempt.isascii() and attempt.isdigit() and len(attempt) < 10 else 1,
            endpoint=name,
            model="",
        )
        try:
            await self._answer(exchange, row, read)
            row.finished = True
            row.outcome = "answered"
        except Refusal as refusal:
            row.status = refusal.status
            row.outcome = "refused"
            raise
        except ClientLeft:
            row.outcome = "client_left"
            raise
        except ConnectionCut:
            row.outcome = "hung" if row.outcome == "hung" else "cut"
            raise
        finally:
            self.ledger.end(row)

    async def _answer(self, exchange: Exchange, row: Row, read: Callable[[bytes], Endpoint]) -> None:
        body = await exchange.read()
        self._check_key(exchange)
        endpoint = read(body)
        row.model = endpoint.model
        row.stream = endpoint.stream
        if not self._knows(endpoint.model):
            raise unknown_model(endpoint.model)
        fault = self._fault(exchange, row)
        row.fault = fault.name
        refusal = refusal_of(fault)
        if refusal is not None:
            row.prompt_tokens = endpoint.prompt_tokens if refusal.billed else 0
            raise refusal
        row.prompt_tokens = endpoint.prompt_tokens
        self.ledger.announce(row)
        await _produce(endpoint, Call(exchange, fault, row, self._settings.pace_ms / 1000))

    def _check_key(self, exchange: Exchange) -> None:
        if not self._keys:
            return
        given = (exchange.header(b"authorization") or "").encode()
        if not any(hmac.compare_digest(given, key) for key in self._keys):
            raise wrong_key()

    def _knows(self, model: str) -> bool:
        return model.startswith("sim-") or model in self._settings.aliases

    def _fault(self, exchange: Exchange, row: Row) -> Fault:
        fault = requested_fault(exchange.header(b"x-sim-fault"), row.model)
        if fault.first is not None and self.ledger.count_call(row.request_id) > fault.first:
            return NO_FAULT
        return fault

    async def _serve_other(self, exchange: Exchange, path: str) -> None:
        handler = {
            ("GET", "/healthz"): self._show_health,
            ("GET", "/models"): self._list_models,
            ("GET", "/_sim/requests"): self._list_rows,
            ("GET", "/_sim/totals"): self._show_totals,
            ("DELETE", "/_sim"): self._reset,
        }.get((exchange.method, path))
        if handler is not None:
            await handler(exchange)
        elif exchange.method == "GET" and path.startswith("/models/"):
            await self._show_model(exchange, path.removeprefix("/models/"))
        else:
            raise Refusal(404, f"Invalid URL ({exchange.method} {exchange.path[:200]})", code="unknown_url")

    async def _show_health(self, exchange: Exchange) -> None:
        await _reply_json(exchange, {"status": "ok"})

    async def _list_models(self, exchange: Exchange) -> None:
        self._check_key(exchange)
        models = [self._model(name) for name in (*MODELS, *self._settings.aliases)]
        await _reply_json(exchange, {"object": "list", "data": models})

    async def _show_model(self, exchange: Exchange, name: str) -> None:
        self._check_key(exchange)
        if not self._knows(name):
            raise unknown_model(name)
        await _reply_json(exchange, self._model(name))

    def _model(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._started_at, "owned_by": "simulation"}

    async def _list_rows(self, exchange: Exchange) -> None:
        asked = urllib.parse.parse_qs(exchange.query.decode("latin-1")).get("request_id", [None])
        await _reply_json(exchange, {"data": self.ledger.rows(asked[0])})

    async def _show_totals(self, exchange: Exchange) -> None:
        await _reply_json(exchange, self.ledger.totals())

    async def _reset(self, exchange: Exchange) -> None:
        self.ledger.reset()
        await _reply_json(exchange, {"reset": True})


def create_app(
    *,
    pace_ms: float = 0.0,
    api_keys: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    ledger_file: Path | None = None,
) -> Provider:
    return Provider(Settings(pace_ms=pace_ms, api_keys=api_keys, aliases=aliases, ledger_file=ledger_file))


async def _produce(endpoint: Endpoint, call: Call) -> None:
    if call.fault.name == "hang":
        await call.misbehave()
    elif call.fault.name in ("wrong-type", "empty"):
        await endpoint.generate(call)
        await call.misbehave()
    elif endpoint.stream:
        await endpoint.stream_answer(call)
    else:
        await endpoint.answer(call)


async def _reply_json(exchange: Exchange, value: Any) -> None:
    await exchange.reply(200, msgspec.json.encode(value))
