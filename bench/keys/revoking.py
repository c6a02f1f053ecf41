"""Revocations one by one, and while NATS is killed and comes back: how long until every gateway refuses."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import httpx

from bench.keys.filling import FilledKey
from bench.keys.probe import Probe, ask_all, probes
from bench.keys.report import say
from bench.keys.run import Run

PAUSE_SECONDS = 0.002
"""Between two questions of a probe: asking without a pause would be a load of its own."""

KILL_BATCH = 20
KILL_AFTER = 5
AT_ONCE = 4
DOWN_SECONDS = 2.0


@dataclass
class Revocations:
    """Milliseconds from the API's answer, and from the request to it, until every gateway had refused.

    Zero after the answer: they had refused before it, for accounts waits up to a second for their confirmations.
    """

    after_answer: list[float] = field(default_factory=list)
    after_request: list[float] = field(default_factory=list)
    pending: int = 0


@dataclass
class Kills:
    """For each kill the milliseconds from NATS being ready again until every gateway refused every key revoked meanwhile."""

    until_closed: list[float] = field(default_factory=list)
    revoked: int = 0
    open_while_down: int = 0


async def measure_revocations(run: Run, wanted: int) -> Revocations:
    """One after the other, each watched on every gateway."""
    found = Revocations()
    async with probes(run.ports) as doors, run.accounts() as client:
        for number in range(wanted):
            await _revoke_one(run, client, doors, found)
            if number % 50 == 49 or number + 1 == wanted:
                say(f"revoked {number + 1}/{wanted}, median {statistics.median(found.after_request):.1f} ms after the request")
    return found


async def _revoke_one(run: Run, client: httpx.AsyncClient, doors: Sequence[Probe], found: Revocations) -> None:
    key = await _open_key(run, doors)
    watched = [asyncio.create_task(door.until(key.plaintext, 401, PAUSE_SECONDS)) for door in doors]
    sent = time.monotonic()
    found.pending += await run.revoke(client, key)
    answered, closed = time.monotonic(), max(await asyncio.gather(*watched))
    found.after_answer.append(max(0.0, closed - answered) * 1000)
    found.after_request.append((closed - sent) * 1000)


async def _open_key(run: Run, doors: Sequence[Probe]) -> FilledKey:
    """The next one, in use on every gateway."""
    key = next(run.keys)
    run.expect("a key before its revocation", await ask_all(doors, key.plaintext), [200] * len(doors))
    return key


async def measure_kills(run: Run, rounds: int) -> Kills:
    """NATS is killed amid revocations, which go on, and is started again."""
    found = Kills()
    for number in range(rounds):
        async with probes(run.ports) as doors, run.accounts() as client:
            found.until_closed.append(await _kill_once(run, client, doors, found))
        say(f"kill {number + 1}/{rounds}: all refused {found.until_closed[-1]:.0f} ms after NATS was back")
    return found


async def _kill_once(run: Run, client: httpx.AsyncClient, doors: Sequence[Probe], found: Kills) -> float:
    keys = [await _open_key(run, doors) for _ in range(KILL_BATCH)]
    nats = run.installation.nats
    await _revoke_across_a_kill(run, client, keys)
    await asyncio.sleep(DOWN_SECONDS)
    run.expect("the good key without NATS", await ask_all(doors, run.good.plaintext), [200] * len(doors))
    for key in keys:
        found.open_while_down += 200 in await ask_all(doors, key.plaintext)
    found.revoked += len(keys)
    await asyncio.to_thread(nats.start)
    back = time.monotonic()
    return (max(await asyncio.gather(*(_all_refused(door, keys) for door in doors))) - back) * 1000


async def _revoke_across_a_kill(run: Run, client: httpx.AsyncClient, keys: Sequence[FilledKey]) -> None:
    left, numbers, nats = iter(keys), count(1), run.installation.nats

    async def revoke_rest() -> None:
        for key in left:
            await run.revoke(client, key)
            if next(numbers) == KILL_AFTER:
                await asyncio.to_thread(nats.kill)

    await asyncio.gather(*(revoke_rest() for _ in range(AT_ONCE)))


async def _all_refused(door: Probe, keys: Sequence[FilledKey]) -> float:
    return max([await door.until(key.plaintext, 401, PAUSE_SECONDS) for key in keys])
