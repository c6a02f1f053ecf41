"""Requests that have got nothing of their answer yet: bodies that do not come, clients that leave, and what is refused at the end."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from gateway.domain.refusals import Refusal
from gateway.inbound.request_body import BodyTimeout, ClientGone, Receive

SWEEP_SECONDS = 0.5
WATCH_AFTER_SECONDS = 1.0
DRAIN_SECONDS = 2.0


class WaitingRequest:
    """One of them, for as long as its `with` block: `reading` while its body comes, so that a body that does not come is noticed,
    afterwards a client that leaves. The block raises the refusal, or ClientGone, by which it was ended from outside.
    """

    __slots__ = ("_all", "began", "left", "reading", "receive", "refusal", "task", "watcher")

    def __init__(self, every: "dict[int, WaitingRequest]", receive: Receive, task: asyncio.Task[Any] | None) -> None:
        self._all = every
        self.receive = receive
        self.task = task
        self.began = time.monotonic()
        self.reading = True
        self.left = False
        self.refusal: Refusal | None = None
        self.watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._all[id(self)] = self
        return self

    def __exit__(self, _kind: type[BaseException] | None, problem: BaseException | None, _trace: TracebackType | None) -> None:
        del self._all[id(self)]
        if self.watcher is not None:
            self.watcher.cancel()
        if isinstance(problem, asyncio.CancelledError):
            if self.left:
                raise ClientGone from None
            if self.refusal is not None:
                raise self.refusal from None

    def refuse(self, refusal: Refusal) -> None:
        """End it; the client gets the refusal."""
        if self.task is not None and self.refusal is None:
            self.refusal = refusal
            self.task.cancel(refusal)


class WaitingRequests:
    """All of this process, of every route that reads a body; `sweep` runs beside them until cancelled."""

    def __init__(self, body_seconds: float) -> None:
        self._body_seconds = body_seconds
        self._loop = asyncio.get_running_loop()
        self._all: dict[int, WaitingRequest] = {}

    def begin(self, receive: Receive) -> WaitingRequest:
        """The request of the current task, to be entered."""
        task = asyncio.current_task(self._loop)  # without the loop it would ask for the process id
        return WaitingRequest(self._all, receive, task)

    def refuse_all(self, make_refusal: Callable[[], Refusal]) -> None:
        """Whatever they wait for."""
        for waiting in self._all.values():
            waiting.refuse(make_refusal())

    async def sweep(self) -> None:
        """Every half second: refuse bodies that do not come, watch over clients that have waited for a while."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            for waiting in list(self._all.values()):
                if waiting.reading:
                    if now - waiting.began > self._body_seconds:
                        waiting.refuse(BodyTimeout("The request body did not arrive in time."))
                elif waiting.watcher is None and now - waiting.began > WATCH_AFTER_SECONDS:
                    waiting.watcher = asyncio.create_task(_cancel_when_gone(waiting))


async def _cancel_when_gone(waiting: WaitingRequest) -> None:
    """A client that no longer waits: the answer may still come for two seconds, for its usage, then the upstream is cancelled."""
    while (await waiting.receive())["type"] != "http.disconnect":
        pass
    await asyncio.sleep(DRAIN_SECONDS)
    if waiting.task is not None:
        waiting.left = True
        waiting.task.cancel()
