"""Asks usage by request and reply on behalf of many names: gathered into messages, whoever waits first, again where nobody answered."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import Final, Generic, TypeVar

import msgspec
import nats.errors

from gateway.domain.patience import Patience

log = logging.getLogger(__name__)

ASK_TIMEOUT: Final = 1.0
"""Seconds until a message counts as not answered; after as many seconds of silence nobody waits for an answer any more."""

AGAIN_SECONDS: Final = 0.02
"""Where somebody waits and nobody answered, it is asked again so much later; elsewhere with the next tick."""

MOST_MESSAGES: Final = 8
"""Under way at once."""

UNANSWERED: Final = (nats.errors.Error, TimeoutError, OSError, msgspec.MsgspecError)

Name = TypeVar("Name", bound=tuple[str, ...])
Need = TypeVar("Need")


class Asking(Generic[Name, Need]):
    """One conversation. `exchange` asks for the names it is given, told what those need who wait for them; it raises one of UNANSWERED.

    No name is in two messages at once. A waiting request is woken by the answer to a message that was made after it began to wait.
    """

    def __init__(self, what: str, exchange: Callable[[dict[Name, list[Need]]], Awaitable[None]], *, largest_message: int) -> None:
        self._what, self._exchange, self._largest = what, exchange, largest_message
        self._hungry: dict[Name, None] = {}
        self._unanswered: dict[Name, None] = {}
        self._in_flight: set[Name] = set()
        self._waiters: dict[Name, list[tuple[Need, asyncio.Future[None]]]] = {}
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._silent_since: float | None = None
        self._messages = 0
        self.asks = self.failures = 0
        self.answered_at: float | None = None

    @property
    def is_silent(self) -> bool:
        """Whether nothing has been answered for a while: waiting for one more is in vain."""
        return self._silent_since is not None and time.monotonic() - self._silent_since > ASK_TIMEOUT

    def is_busy(self, name: Name) -> bool:
        """Whether somebody waits for it, or it is being asked for."""
        return name in self._waiters or name in self._in_flight

    def note(self, name: Name) -> None:
        """Ask for it with the next message."""
        self._hungry[name] = None
        self._wake.set()

    def note_later(self, name: Name) -> None:
        """Ask for it with the next tick."""
        self._unanswered[name] = None

    def wait(self, name: Name, need: Need, seconds: float, *, pause: float = 0.0) -> asyncio.Future[None]:
        """A future that ends when this need has been answered, or after `seconds`. `pause`: ask only so much later."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _finish, future)
        future.add_done_callback(lambda _: timer.cancel())
        self._waiters.setdefault(name, []).append((need, future))
        if pause and name not in self._in_flight:
            loop.call_later(pause, self._note_if_waited_for, name)
        else:
            self.note(name)
        return future

    def forget(self, name: Name) -> None:
        """There is nothing to ask for it any more."""
        self._hungry.pop(name, None)
        self._unanswered.pop(name, None)

    def tick(self) -> None:
        """Once a second: ask again for what nobody has answered, so that the end of a silence is noticed before it matters."""
        for name in self._unanswered:
            self.note(name)
        self._unanswered.clear()

    async def run(self) -> None:
        """Ask until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._messages < MOST_MESSAGES and (names := list(islice(self._next(), self._largest))):
                    for name in names:
                        del self._hungry[name]
                    self._in_flight.update(names)
                    self._messages += 1
                    task = asyncio.create_task(self._ask(names))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _next(self) -> Iterator[Name]:
        """What may be asked for, in the order of its coming; what somebody waits for before all else."""
        ready = [name for name in self._hungry if name not in self._in_flight]
        yield from (name for name in ready if name in self._waiters)
        yield from (name for name in ready if name not in self._waiters)

    async def _ask(self, names: list[Name]) -> None:
        told = {name: list(self._waiters.get(name, ())) for name in names}
        self.asks += 1
        answered = False
        try:
            await self._exchange({name: [need for need, future in told[name] if not future.done()] for name in names})
            answered = True
            self.answered_at, self._silent_since = time.monotonic(), None
        except UNANSWERED as problem:
            self.failures += 1
            self._silent_since = self._silent_since or time.monotonic()
            log.debug("%s: no answer", self._what, extra={"problem": type(problem).__name__})
        finally:
            self._messages -= 1
            self._in_flight.difference_update(names)
            for name in names:
                self._after(name, told[name] if answered else [], answered=answered)
            if self._hungry:
                self._wake.set()

    def _after(self, name: Name, woken: list[tuple[Need, asyncio.Future[None]]], *, answered: bool) -> None:
        for _, future in woken:
            _finish(future)
        left = [waiter for waiter in self._waiters.pop(name, ()) if not waiter[1].done()]
        if left:
            self._waiters[name] = left
            if answered:
                self.note(name)
            else:
                asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._note_if_waited_for, name)
        if not answered:
            self.note_later(name)

    def _note_if_waited_for(self, name: Name) -> None:
        if any(not future.done() for _, future in self._waiters.get(name, ())):
            self.note(name)


async def lend(patience: Patience, waiting: Awaitable[object]) -> None:
    """Wait for something that ends by itself within what is left of the patience."""
    began = time.monotonic()
    try:
        await waiting
    finally:
        patience.waited += time.monotonic() - began


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
