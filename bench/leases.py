"""Limits per minute by leases at hand, or counted in a store: what each costs the gateway for a request that counts against five scopes.

    make measure-leases

By leases: the gateway's own use case, on leases that cover it. In the store: one script in Valkey that looks at requests, tokens and
concurrency of five scopes and counts them, and one at the end of the request that gives back; sent by the client library that the gateway
has, so many requests at once that nobody waits for the wire. Both in one process, round by round.
"""

import asyncio
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from nats.aio.client import Client
from redis.asyncio import Redis

from bench.admission import END_USER, TOKENS, grant_leases, make_caller
from bench.processes import pick_cores, pin
from bench.rounds import abba, spread
from common.contracts.directory import NO_LIMITS
from devstack.servers.valkey import ValkeyServer
from gateway.domain.patience import Patience
from gateway.outbound.rates import Rates
from gateway.use_cases.take_rate import TakeRate

ROUNDS = 20
WARM_UP = 2
REQUESTS = 4_000
ALONE = 300
AT_ONCE = 32
SCOPES = 5
PLENTY = 10**12

TAKE = """
for i, name in ipairs(KEYS) do
    local used = redis.call('HMGET', name, 'requests', 'tokens', 'slots')
    if (tonumber(used[1]) or 0) + 1 > tonumber(ARGV[2]) or (tonumber(used[2]) or 0) + tonumber(ARGV[1]) > tonumber(ARGV[2])
        or (tonumber(used[3]) or 0) + 1 > tonumber(ARGV[2]) then return i end
end
for _, name in ipairs(KEYS) do
    redis.call('HINCRBY', name, 'requests', 1)
    redis.call('HINCRBY', name, 'tokens', ARGV[1])
    redis.call('HINCRBY', name, 'slots', 1)
    redis.call('EXPIRE', name, 120)
end
return 0
"""
GIVE_BACK = """
for _, name in ipairs(KEYS) do
    redis.call('HINCRBY', name, 'tokens', ARGV[1])
    redis.call('HINCRBY', name, 'slots', -1)
end
"""

Ask = Callable[[], Awaitable[None]]


def by_leases() -> Ask:
    """One request that takes its part of leases and ends."""
    caller = make_caller()
    take_rate = TakeRate(Rates(Client(), gateway="bench", boot="bench"), NO_LIMITS)
    grant_leases(take_rate, caller)

    async def ask() -> None:
        permit = take_rate.permit(take_rate.rated(caller, END_USER, ""), Patience(0.05))
        if not permit.take_now(1, TOKENS, 1):
            raise RuntimeError("the leases did not cover it")
        permit.settle(TOKENS // 2)

    return ask


def in_store(store: Redis) -> Ask:
    """The same, by two scripts in the store."""
    take, give_back = store.register_script(TAKE), store.register_script(GIVE_BACK)
    names = [f"scope:{number}" for number in range(SCOPES)]

    async def ask() -> None:
        if await take(keys=names, args=[TOKENS, PLENTY]):
            raise RuntimeError("the store refused it")
        await give_back(keys=names, args=[TOKENS // 2 - TOKENS])

    return ask


async def cpu_us(ask: Ask) -> float:
    """CPU time of this process per request, when many are asked at once."""

    async def worker(count: int) -> None:
        for _ in range(count):
            await ask()

    began = time.process_time()
    await asyncio.gather(*(worker(REQUESTS // AT_ONCE) for _ in range(AT_ONCE)))
    return (time.process_time() - began) / (REQUESTS // AT_ONCE * AT_ONCE) * 1e6


async def alone_us(ask: Ask) -> float:
    """From the beginning to the end of a request when nothing else is asked."""
    began = time.perf_counter()
    for _ in range(ALONE):
        await ask()
    return (time.perf_counter() - began) / ALONE * 1e6


async def run(server: ValkeyServer) -> None:
    """Print the table."""
    store: Redis = Redis.from_url(server.url, password=server.password, max_connections=AT_ONCE)
    kinds = {"leases": by_leases(), "store": in_store(store)}
    cpu: dict[str, list[float]] = {name: [] for name in kinds}
    alone: dict[str, list[float]] = {name: [] for name in kinds}
    for number, order in enumerate(abba(list(kinds), WARM_UP + ROUNDS)):
        for name in order:
            figures = await cpu_us(kinds[name]), await alone_us(kinds[name])
            if number >= WARM_UP:
                cpu[name].append(figures[0])
                alone[name].append(figures[1])
    await store.aclose()
    for name in kinds:
        print(f"{name:7} {_shown(cpu[name])} µs of CPU time a request; alone, one takes {_shown(alone[name])} µs")
    print(f"store × {_shown([theirs / ours for ours, theirs in zip(cpu['leases'], cpu['store'], strict=True)])} of the CPU time")


def _shown(values: list[float]) -> str:
    found = spread(values)
    return "–" if found is None else found.show()


def main() -> int:
    """Exit code 0 when it was measured."""
    cores = pick_cores()
    os.sched_setaffinity(0, {cores.system})
    with tempfile.TemporaryDirectory() as folder, ValkeyServer(Path(folder), password=secrets.token_hex(16)) as server:
        if server.pid is not None:
            pin([server.pid], cores.rest)
        asyncio.run(run(server))
    return 0


if __name__ == "__main__":
    sys.exit(main())
