"""Asks usage for leases on limits per minute and on concurrency: all scopes in use once a second, sooner where a request waits."""

import asyncio
import time
from collections.abc import Sequence
from itertools import count

import msgspec
import nats.errors
from nats.aio.client import Client

from common.contracts.directory import Limits
from common.contracts.rates import RatesAnswer, RatesAsk, RatesRecall
from common.contracts.subjects import RATES_ASK
from gateway.domain.rate_limit import NOTHING, TICK_SECONDS, Amount, Part, RateScope
from gateway.outbound.asking import ASK_TIMEOUT, Asking

LARGEST_MESSAGE = 250
"""With the longest ids there are it stays below what the bus takes."""

Name = tuple[str, str]


class Rates:
    """The scopes of this boot that have such limits, and their conversation with usage.

    `gateways`: how many there are, until usage says so; `part`: which part of each limit is ours while nobody answers. Whoever keeps
    a scope at hand looks at `generation`: as long as it is the same, none has been forgotten.
    """

    def __init__(self, client: Client, *, gateway: str, boot: str, gateways: int = 1) -> None:
        self._client = client
        self._gateway = gateway
        self._boot = boot
        self._scopes: dict[Name, RateScope] = {}
        self._numbers = count(1)
        self.asking: Asking[Name, Amount] = Asking("rates", self._exchange, largest_message=LARGEST_MESSAGE)
        self.part = Part(gateways, None)
        self.generation = 0
        self.waits = self.degraded = self.recalls = 0

    def scope(self, scope: str, scope_id: str, limits: Limits) -> RateScope:
        """The scope of that name, with limits as the directory has them now."""
        name = (scope, scope_id)
        found = self._scopes.get(name)
        if found is None:
            found = self._scopes[name] = RateScope(scope, scope_id, time.monotonic())
        found.adopt(limits)
        return found

    def ask_ahead(self, scope: RateScope) -> None:
        """With the next message."""
        self.asking.note((scope.scope, scope.scope_id))

    async def wait(self, scopes: Sequence[RateScope], need: Amount, seconds: float, *, pause: float = 0.0) -> None:
        """Until the authority has answered for this need in all of the scopes, or for `seconds`. `pause`: ask only so much later."""
        self.waits += 1
        names = [(scope.scope, scope.scope_id) for scope in scopes]
        await asyncio.gather(*(self.asking.wait(name, need, seconds, pause=pause) for name in names))

    def recall(self, recall: RatesRecall) -> None:
        """Another boot waits for what is not needed here."""
        if recall.boot == self._boot:
            return
        now = time.monotonic()
        for name in recall.scopes:
            scope = self._scopes.get(name)
            if scope is not None and scope.recall(now):
                self.recalls += 1
                self.asking.note(name)

    async def run(self) -> None:
        """Ask until cancelled."""
        ticker = asyncio.create_task(self._keep_ticking())
        try:
            await self.asking.run()
        finally:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)

    async def _keep_ticking(self) -> None:
        """Once a second everything that has something to tell; what has not is forgotten."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            forgotten = False
            for name, scope in list(self._scopes.items()):
                if not scope.is_over(now):
                    self.asking.note(name)
                elif now - scope.touched_at > TICK_SECONDS and not self.asking.is_busy(name):
                    del self._scopes[name]
                    self.asking.forget(name)
                    forgotten = True
            self.generation += forgotten
            self.asking.tick()

    async def _exchange(self, needs: dict[Name, list[Amount]]) -> None:
        now = time.monotonic()
        scopes = [self._scopes[name] for name in needs]
        # The numbers rise over all scopes: one that was forgotten and has come back must not ask with a number that it had before.
        asks = tuple(
            scope.shape(_sum(waiting), now, next(self._numbers)) for scope, waiting in zip(scopes, needs.values(), strict=True)
        )
        try:
            answer = await self._request(RatesAsk(gateway=self._gateway, boot=self._boot, asks=asks))
        finally:
            for scope in scopes:
                scope.in_flight = False
        now = time.monotonic()
        for scope, one in zip(scopes, answer.answers, strict=True):
            scope.take(one, answer.valid_ms / 1000, now)

    async def _request(self, ask: RatesAsk) -> RatesAnswer:
        if not self._client.is_connected:
            raise nats.errors.ConnectionReconnectingError
        reply = await self._client.request(RATES_ASK, msgspec.json.encode(ask), timeout=ASK_TIMEOUT)
        answer = msgspec.json.decode(reply.data, type=RatesAnswer)
        self.part = Part(max(1, answer.gateways), answer.rank)
        return answer


def _sum(needs: list[Amount]) -> Amount:
    if not needs:
        return NOTHING
    return Amount(sum(it.requests for it in needs), sum(it.tokens for it in needs), sum(it.slots for it in needs))
