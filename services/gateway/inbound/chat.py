"""`POST /v1/chat/completions`: body in, answer or event stream out, and what happens when the client goes away."""

import asyncio
import time
from collections.abc import Callable
from functools import lru_cache

import msgspec

from gateway.domain.caller import Caller
from gateway.domain.refusals import InvalidKey
from gateway.domain.run import Run
from gateway.inbound.errors import Headers, error_body, error_event, error_headers
from gateway.inbound.hot_path import FLOW, RESPOND
from gateway.inbound.request_body import ClientGone, Receive, Scope, Send, read_body
from gateway.inbound.waiting_requests import SWEEP_SECONDS, WaitingRequests
from gateway.use_cases.answer_chat import AnswerChat, WholeAnswer
from gateway.use_cases.call_upstream import PassedOn
from gateway.use_cases.relay_stream import RelayedStream

ENDPOINT = "/v1/chat/completions"
LEEWAY_BYTES = 128 * 1024
"""What a client may be behind in a stream whose hold grows with it, before that stream has to hold all that may still come."""


@lru_cache(maxsize=1024)
def constant_lines(content_type: bytes, cache: str, model: str, tier: str) -> bytes:
    """Header lines that many answers share; raises ValueError for a value that would break out of its line."""
    values = {
        "content-type": content_type.decode("latin-1"),
        "x-codexflow-cache": cache,
        "x-codexflow-model": model,
        "x-codexflow-tier": tier,
    }
    if not all(value.isprintable() for value in values.values()):
        raise ValueError("a header value holds a control character")
    return "".join(f"{name}: {value}\r\n" for name, value in values.items()).encode("latin-1")


def limit_lines(run: Run) -> bytes:
    """Where limits per minute stand, and what limits in shadow mode would have refused, as lines of the head; empty for most."""
    permit, refused = run.permit, run.would_refuse
    if permit is None:
        return _would_refuse(refused) if refused else b""
    lines = permit.header_lines()
    return lines + _would_refuse((*refused, *permit.would_refuse)) if refused or permit.would_refuse else lines


def _would_refuse(limits: tuple[str, ...]) -> bytes:
    return b"x-codexflow-would-refuse: %b\r\n" % ", ".join(limits).encode()


def limit_headers(run: Run) -> Headers:
    """The same, name by name."""
    lines = limit_lines(run).split(b"\r\n")[:-1]
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]


class _Reader:
    """A client that reads a stream; `sending_since` while it has not taken the last chunk."""

    __slots__ = ("cut", "sending_since", "task")

    def __init__(self) -> None:
        self.task = asyncio.current_task()
        self.sending_since: float | None = None
        self.cut = False


class ChatRoute:
    """The handler; `sweep` runs beside it until cancelled. `address` tells a client's address, where limits go by it."""

    def __init__(
        self,
        answer: AnswerChat,
        still_valid: Callable[[Caller], bool],
        waiting: WaitingRequests,
        *,
        max_body: int,
        slow_reader_seconds: float,
        address: Callable[[Scope], str] | None,
    ) -> None:
        self._answer = answer
        self._still_valid = still_valid
        self._waiting = waiting
        self._max_body = max_body
        self._slow_reader_seconds = slow_reader_seconds
        self._address = address
        self._reading: set[_Reader] = set()

    async def __call__(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises Refusal."""
        tier: str | None = None
        use_cache = True
        for name, value in scope["headers"]:
            if name == b"x-codexflow-tier":
                tier = value.decode("latin-1").strip().lower()
            elif name == b"cache-control" and (b"no-cache" in value or b"no-store" in value):
                use_cache = False
        try:
            with self._waiting.begin(receive) as waiting:
                body = await read_body(scope, receive, self._max_body)
                waiting.reading = False
                if not self._still_valid(caller):  # reading may have taken a while
                    raise InvalidKey("Incorrect API key provided.")
                address = self._address(scope) if self._address is not None else ""
                result = await self._answer(caller, body, tier, ENDPOINT, address=address, use_cache=use_cache)
        except PassedOn as refused:
            await self._send_passed_on(refused, send)
            return
        if isinstance(result, WholeAnswer):
            self._send_whole(result, scope)
        else:
            await self._send_stream(result, scope, receive, send)

    @staticmethod
    def _send_whole(answer: WholeAnswer, scope: Scope) -> None:
        run = answer.run
        lines = b"%bx-request-id: %b\r\ncontent-length: %d\r\nx-codexflow-attempts: %d\r\nx-codexflow-cost-nanousd: %d\r\n" % (
            constant_lines(answer.content_type, answer.cache, answer.model, run.route.tier),
            run.event_id.encode(),
            len(answer.body),
            len(run.attempts),
            answer.cost_nanousd,
        )
        scope[RESPOND](answer.status, lines + limit_lines(run), answer.body)

    async def _send_passed_on(self, refused: PassedOn, send: Send) -> None:
        body = refused.body if _is_error_object(refused.body) else error_body(refused)
        headers = error_headers(refused, body, refused.request_id or "")
        await send({"type": "http.response.start", "status": refused.http_status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _send_stream(self, stream: RelayedStream, scope: Scope, receive: Receive, send: Send) -> None:
        run = stream.run
        headers: Headers = [
            (b"content-type", stream.content_type),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            (b"x-request-id", run.event_id.encode()),
            (b"x-codexflow-cache", b"bypass" if run.cache_key is None else b"miss"),
            (b"x-codexflow-model", stream.model.encode()),
            (b"x-codexflow-tier", run.route.tier.encode()),
            *limit_headers(run),
        ]
        watcher = asyncio.create_task(_tell_when_gone(receive, stream))
        reader = _Reader()
        self._reading.add(reader)
        flow = scope[FLOW]
        flow.leeway = LEEWAY_BYTES if stream.hold_grows else 0
        now = time.monotonic
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while chunk := await stream.next_chunk():
                if flow.leeway:
                    flow.sent += len(chunk)
                    if flow.is_full:
                        chunk += await stream.cover()
                        flow.leeway = 0
                reader.sending_since = now()
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                reader.sending_since = None
            if stream.failure is not None:
                await send({"type": "http.response.body", "body": error_event(stream.failure), "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except asyncio.CancelledError:
            if not reader.cut:
                raise
            await stream.hear_out()
            raise ClientGone from None
        finally:
            flow.leeway = 0
            self._reading.discard(reader)
            watcher.cancel()
            stream.close()

    async def sweep(self) -> None:
        """Every half second: cut readers that take nothing any more."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            for reader in list(self._reading):
                since = reader.sending_since
                if since is not None and now - since > self._slow_reader_seconds and not reader.cut and reader.task is not None:
                    reader.cut = True
                    reader.task.cancel()


class _ErrorObject(msgspec.Struct):
    error: dict[str, msgspec.Raw]


def _is_error_object(body: bytes) -> bool:
    """Whether an upstream's error is in OpenAI's shape and may be passed on as it is."""
    try:
        msgspec.json.decode(body, type=_ErrorObject)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


async def _tell_when_gone(receive: Receive, stream: RelayedStream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.client_left()
