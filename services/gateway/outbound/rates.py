"""Asks usage for leases on limits per minute and on concurrency: all scopes in use in one message a second, sooner where one waits."""

import asyncio
import logging
import time

import msgspec
import nats.errors
from nats.aio.client import Client

from common.contracts.directory import Enforcement, Limits
from common.contracts.rates import RatesAnswer, RatesAsk
from common.contracts.subjects import RATES_ASK
from gateway.domain.rate_limit import NOTHING, TICK_SECONDS, Amount, RateScope

log = logging.getLogger(__name__)

ASK_TIMEOUT = 1.0
LARGEST_MESSAGE = 500
MOST_SCOPES = 100_000
"""Beyond, those that have nothing to tell are forgotten at once."""

Name = tuple[str, str]
Waiter = tuple[Amount, asyncio.Future[None]]


class Rates:
    """The scopes of this boot that have such limits, and their conversation with usage.

    Whoever keeps a scope at hand looks at `generation`: as long as it is the same, none has been forgotten.
    """

    def __init__(self, client: Client, *, gateway: str, boot: str) -> None:
        self._client = client
        self._gateway = gateway
        self._boot = boot
        self._scopes: dict[Name, RateScope] = {}
        self._hungry: set[Name] = set()
        self._waiters: dict[Name, list[Waiter]] = {}
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.gateways = 1
        self.generation = 0
        self.waits = self.asks = self.failures = self.degraded = 0

    def scope(self, scope: str, scope_id: str, limits: Limits, enforcement: Enforcement) -> RateScope:
        """The scope of that name, with limits as the directory has them now."""
        name = (scope, scope_id)
        found = self._scopes.get(name)
        if found is None:
            found = self._scopes[name] = RateScope(scope, scope_id, time.monotonic())
        found.adopt(limits, enforcement)
        return found

    def used(self, scope: RateScope, now: float) -> None:
        """Something of it was used: ask ahead where that is wise."""
        if scope.wants_more(now):
            self._note((scope.scope, scope.scope_id))

    def wait(self, scope: RateScope, need: Amount, seconds: float) -> asyncio.Future[None]:
        """A future that ends when the authority has answered for this need, or after `seconds`."""
        name = (scope.scope, scope.scope_id)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _finish, future)
        future.add_done_callback(lambda _: timer.cancel())
        self._waiters.setdefault(name, []).append((need, future))
        self.waits += 1
        self._note(name)
        return future

    def _note(self, name: Name) -> None:
        self._hungry.add(name)
        self._wake.set()

    async def run(self) -> None:
        """Ask until cancelled."""
        ticker = asyncio.create_task(self._keep_ticking())
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                self._ask_hungry()
        finally:
            ticker.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(ticker, *self._tasks, return_exceptions=True)

    async def _keep_ticking(self) -> None:
        """Once a second everything that has something to tell; what has not is forgotten."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            for name, scope in list(self._scopes.items()):
                if not scope.is_over(now):
                    self._hungry.add(name)
                elif now - scope.touched_at > TICK_SECONDS and name not in self._waiters:
                    del self._scopes[name]
                    self.generation += 1
            if self._hungry:
                self._wake.set()

    def _ask_hungry(self) -> None:
        known = (name for name in self._hungry if name in self._scopes and not self._scopes[name].in_flight)
        names = [name for name, _ in zip(known, range(LARGEST_MESSAGE), strict=False)]
        self._hungry.difference_update(names)
        if names:
            task = asyncio.create_task(self._ask([self._scopes[name] for name in names]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(self, scopes: list[RateScope]) -> None:
        now = time.monotonic()
        waiting = {scope: list(self._waiters.get((scope.scope, scope.scope_id), ())) for scope in scopes}
        asks = tuple(scope.shape(_sum(waiting[scope]), now) for scope in scopes)
        try:
            answer = await self._request(RatesAsk(gateway=self._gateway, boot=self._boot, asks=asks))
        except (nats.errors.Error, TimeoutError, OSError, msgspec.MsgspecError) as problem:
            self.failures += 1
            log.debug("rates: no answer", extra={"problem": type(problem).__name__})
            for scope in scopes:
                scope.not_answered(now)
        else:
            for scope, one in zip(scopes, answer.answers, strict=True):
                scope.take(one, answer.valid_ms / 1000)
        for scope in scopes:
            self._wake_waiting((scope.scope, scope.scope_id), waiting[scope])

    async def _request(self, ask: RatesAsk) -> RatesAnswer:
        self.asks += 1
        if not self._client.is_connected:
            raise nats.errors.ConnectionReconnectingError
        reply = await self._client.request(RATES_ASK, msgspec.json.encode(ask), timeout=ASK_TIMEOUT)
        answer = msgspec.json.decode(reply.data, type=RatesAnswer)
        self.gateways = max(1, answer.gateways)
        return answer

    def _wake_waiting(self, name: Name, told: list[Waiter]) -> None:
        for _, future in told:
            _finish(future)
        left = [waiter for waiter in self._waiters.pop(name, ()) if not waiter[1].done()]
        if left:
            self._waiters[name] = left
            self._note(name)
        elif name in self._hungry:
            self._wake.set()


def _sum(waiting: list[Waiter]) -> Amount:
    needs = [need for need, future in waiting if not future.done()]
    if not needs:
        return NOTHING
    return Amount(sum(it.requests for it in needs), sum(it.tokens for it in needs), sum(it.slots for it in needs))


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
