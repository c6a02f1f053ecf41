"""The wire to the DIRECTORY bucket as a test plays it: every answer may be late, lost, or unheard after it took effect.

What asks is ours and real; it is advanced by hand from one wire operation to the next, so that anything may happen in between.
"""

from collections.abc import Coroutine, Generator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal

from nats.js.errors import APIError, NotFoundError

from common.contracts.subjects import DIRECTORY_REPUBLISHED

ROOT = "$KV.DIRECTORY."
Outcome = Literal["answered", "lost", "unheard", "late"]
"""What becomes of a wire operation: lost on the way there; done but the answer lost; done only after the sender gave up."""


class Turn:
    """Awaited by an operation until the test says how it goes on."""

    def __await__(self) -> Generator[None, Outcome, Outcome]:
        outcome = yield
        return outcome


class Walk:
    """A coroutine of ours under way; `step` takes it to its next wire operation."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], given_up: tuple[type[Exception], ...]) -> None:
        self._coroutine = coroutine
        self._given_up = given_up
        self.ended = False
        self.result: Any = None
        self._send(None)

    def step(self, outcome: Outcome) -> None:
        """What it waits for goes this way."""
        self._send(outcome)

    def through(self) -> None:
        """To its end, everything answered."""
        while not self.ended:
            self.step("answered")

    def stop(self) -> None:
        """Its process is killed."""
        self._coroutine.close()
        self.ended = True

    def _send(self, outcome: Outcome | None) -> None:
        try:
            self._coroutine.send(outcome)
        except StopIteration as stop:
            self.ended, self.result = True, stop.value
        except self._given_up:
            self.ended = True


@dataclass(frozen=True)
class Message:
    """One of the bucket, or one republished from it; as much of it as is read."""

    subject: str
    data: bytes
    sequence: int
    headers: dict[str, str] = field(default_factory=dict)
    pending: int = 0

    @property
    def seq(self) -> int:
        return self.sequence

    @property
    def metadata(self) -> Any:
        return SimpleNamespace(num_pending=self.pending, sequence=SimpleNamespace(stream=self.sequence))


@dataclass
class Bucket:
    """The stream behind the bucket, with a history of one; `listeners` are the inboxes of the gateways that are connected."""

    created: str = "1"
    last: int = 0
    held: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    late: list[tuple[str, bytes, int]] = field(default_factory=list)
    listeners: list[list[Message]] = field(default_factory=list)

    def take(self, entry: str, body: bytes, expected: int) -> int:
        """Put under the fence; raises what a client gets when the expected sequence is not the last one of the entry."""
        if self.held.get(entry, (0, b""))[0] != expected:
            raise APIError(code=400, err_code=10071)
        self.last += 1
        self.held[entry] = self.last, body
        for inbox in self.listeners:
            inbox.append(Message(f"{DIRECTORY_REPUBLISHED}.{entry}", body, self.last, {"Nats-Sequence": str(self.last)}))
        return self.last

    def from_sequence(self, first: int) -> list[Message]:
        """What a consumer that begins there gets."""
        found = sorted((sequence, entry, body) for entry, (sequence, body) in self.held.items() if sequence >= first)
        left = range(len(found) - 1, -1, -1)
        return [Message(f"{ROOT}{entry}", body, at, {}, more) for (at, entry, body), more in zip(found, left, strict=True)]


@dataclass
class Wire:
    """A connection as nats-py offers it, to a bucket that can be exchanged under it."""

    bucket: Bucket
    is_connected: bool = True

    @property
    def client(self) -> "Wire":
        """As accounts' Bus has it."""
        return self

    def jetstream(self, timeout: float = 0) -> "Wire":
        return self

    async def publish(self, subject: str, payload: bytes, *, timeout: float, headers: dict[str, str]) -> None:
        entry, expected = subject.removeprefix(ROOT), int(headers["Nats-Expected-Last-Subject-Sequence"])
        outcome = await Turn()
        if outcome == "late":
            self.bucket.late.append((entry, payload, expected))
        if outcome in ("answered", "unheard"):
            self.bucket.take(entry, payload, expected)
        if outcome != "answered":
            raise TimeoutError

    async def get_last_msg(self, stream: str, subject: str) -> Message:
        await self._asked()
        held = self.bucket.held.get(subject.removeprefix(ROOT))
        await self._asked()
        if held is None:
            raise NotFoundError(code=404, err_code=10037)
        return Message(subject, held[1], held[0])

    async def stream_info(self, stream: str) -> Any:
        await self._asked()
        info = SimpleNamespace(created=self.bucket.created, state=SimpleNamespace(last_seq=self.bucket.last))
        await self._asked()
        return info

    async def pull_subscribe(self, subject: str, *, stream: str, config: Any) -> "_Pull":
        await self._asked()
        return _Pull(self.bucket.from_sequence(config.opt_start_seq))

    @staticmethod
    async def _asked() -> None:
        if await Turn() != "answered":
            raise TimeoutError


class _Pull:
    """An ephemeral consumer."""

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages

    async def consumer_info(self) -> Any:
        return SimpleNamespace(num_pending=len(self._messages))

    async def fetch(self, count: int, timeout: float) -> list[Message]:
        """One at a time: there may be anything between two of them."""
        if await Turn() != "answered":
            raise TimeoutError
        return [self._messages.pop(0)]

    async def unsubscribe(self) -> None:
        """Nothing to wait for."""
