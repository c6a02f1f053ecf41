"""A gateway that was killed right after a revocation starts while accounts is down, and again while NATS is down too."""

import asyncio
import time
from dataclasses import dataclass

from bench.keys.installation import Gateway, wait
from bench.keys.probe import probes
from bench.keys.run import Run
from common.contracts.api_keys import make_key, make_lookup

LEAST_RECORD_BYTES = 200


@dataclass(frozen=True)
class ColdStarts:
    """Seconds from the start of the process to the first request that it lets in."""

    without_accounts: float
    without_accounts_and_nats: float


async def measure_cold_starts(run: Run, keys: int) -> ColdStarts:
    """What is known opens, what was revoked a moment before the kill stays closed, what nobody knows is no 401 without a bus."""
    installation = run.installation
    gateway, accounts = installation.gateways[-1], installation.process("accounts")
    await asyncio.to_thread(wait, lambda: gateway.view_bytes > keys * LEAST_RECORD_BYTES, "the last-known-good file")
    async with run.accounts() as client, probes([gateway.port]) as (door,):
        for _ in range(2):  # one of the file's keys and one that is only in the journal look alike from outside
            key = next(run.keys)
            run.expect("a key before its revocation", await door.ask(key.plaintext), 200)
            await run.revoke(client, key)
            await door.until(key.plaintext, 401, 0.002)
    gateway.process.kill()
    accounts.kill()
    without_accounts = await _start(run, gateway, unknown=401)
    gateway.process.kill()
    installation.nats.kill()
    without_both = await _start(run, gateway, unknown=503)
    await asyncio.to_thread(installation.nats.start)
    accounts.start()
    await asyncio.to_thread(installation.wait_accounts)
    return ColdStarts(without_accounts, without_both)


async def _start(run: Run, gateway: Gateway, *, unknown: int) -> float:
    began = time.monotonic()
    gateway.process.start()
    await asyncio.to_thread(gateway.wait_for, run.good.plaintext)
    took = time.monotonic() - began
    async with probes([gateway.port]) as (door,):
        run.expect("revoked keys after a cold start", {await door.ask(key.plaintext) for key in run.revoked}, {401})
        if unknown == 401:  # until the bucket has been looked at, it may be 503
            await door.until(make_key(make_lookup()), 401, 0.002)
        run.expect("an unknown key after a cold start", await door.ask(make_key(make_lookup())), unknown)
    return took
