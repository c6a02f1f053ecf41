"""The client of the hot path: pools of our own connections and one coarse clock for all their deadlines."""

import asyncio

from gateway.outbound.upstream.client import MAX_BODY, Answer, PoolLimits, PoolStats, Timeouts
from gateway.outbound.upstream.exchange import Exchange
from gateway.outbound.upstream.pool import Pool
from gateway.outbound.upstream.target import Origin, RawHeaders, Target


class PooledClient:
    """An UpstreamClient that creates no task and no timer per request."""

    def __init__(self, limits: PoolLimits | None = None, *, tick_seconds: float = 0.05) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits or PoolLimits()
        self._tick_seconds = tick_seconds
        self._pools: dict[Origin, Pool] = {}
        self._closed = False
        self._timer = self._loop.call_later(tick_seconds, self._tick)

    async def send(
        self, target: Target, headers: RawHeaders, body: bytes, timeouts: Timeouts, *, max_body: int = MAX_BODY
    ) -> Answer:
        exchange = Exchange(self._loop, max_body)
        await self._start(exchange, target, headers, body, timeouts)
        content = await exchange.wait_for_end()
        return Answer(exchange.status, exchange.headers, content)

    async def stream(self, target: Target, headers: RawHeaders, body: bytes, timeouts: Timeouts) -> Exchange:
        exchange = Exchange(self._loop, None)
        await self._start(exchange, target, headers, body, timeouts)
        await exchange.wait_for_head()
        return exchange

    def stats(self) -> PoolStats:
        each = [pool.stats() for pool in self._pools.values()]
        return PoolStats(
            open=sum(one.open for one in each),
            idle=sum(one.idle for one in each),
            busy=sum(one.busy for one in each),
            waiting=sum(one.waiting for one in each),
            created=sum(one.created for one in each),
            reused=sum(one.reused for one in each),
        )

    async def aclose(self) -> None:
        self._closed = True
        self._timer.cancel()
        for pool in self._pools.values():
            await pool.aclose()

    async def _start(self, exchange: Exchange, target: Target, headers: RawHeaders, body: bytes, timeouts: Timeouts) -> None:
        if self._closed:
            raise RuntimeError("the upstream client is closed")
        head = target.request_head(headers, len(body))
        total_at = self._loop.time() + timeouts.total
        pool = self._pools.get(target.origin)
        if pool is None:
            pool = self._pools[target.origin] = Pool(self._loop, target.origin, self._limits)
        connection = pool.take_resting()
        if connection is None:
            connection = await pool.take(timeouts, total_at)
        connection.start(exchange, head, body, timeouts, total_at)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._tick_seconds, self._tick)
        now = self._loop.time()
        for pool in self._pools.values():
            pool.sweep(now)
