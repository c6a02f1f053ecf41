"""The fence of the DIRECTORY bucket, against a real server."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.domain.directory_snapshot import ABSENT
from accounts.outbound.bus import Bus, BusAway
from accounts.outbound.directory_bucket import DirectoryBucket, Put
from common.contracts.api_keys import make_lookup
from common.contracts.subjects import DIRECTORY_REPUBLISHED, DIRECTORY_STREAM
from tests.integration.accounts.bucket import in_loop
from tests.integration.accounts.conftest import Service
from tests.servers import fixtures

Result = TypeVar("Result")
puts = st.lists(st.tuples(st.integers(1, 8), st.booleans()), min_size=1, max_size=12)


@given(writers=st.lists(puts, min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_an_older_version_never_wins(accounts: Service, writers: list[list[tuple[int, bool]]]):
    """However many relays put whatever versions in whatever order, guessing wrongly or not: readers see them only rise."""
    entry = f"key.{make_lookup()}"

    async def race(bucket: DirectoryBucket) -> tuple[list[int], int]:
        seen: list[int] = []
        reader = await accounts.bus.connect("gateway")
        heard = await reader.subscribe(f"{DIRECTORY_REPUBLISHED}.{entry}")
        await reader.flush()

        async def write(versions: list[tuple[int, bool]]) -> None:
            for version, absent in versions:
                await bucket.put_newer(entry, version, _body(version), ABSENT if absent else None)

        await asyncio.gather(*map(write, writers))
        stored = await bucket.read(entry)
        assert (await bucket.snapshot()).meet(entry) == stored
        await reader.flush()
        while heard.pending_msgs:
            seen.append(msgspec.json.decode((await heard.next_msg(1)).data)["version"])
        await reader.close()
        return seen, stored.version if stored else 0

    seen, stored = in_loop(lambda: _with_bucket(accounts.bus, race))
    assert seen == sorted(set(seen))
    assert stored == seen[-1] == max(version for writer in writers for version, _ in writer)


async def _connected(bucket: DirectoryBucket) -> None:
    for _ in range(100):
        with suppress(BusAway):
            await bucket.created()
            return
        await asyncio.sleep(0.02)
    raise TimeoutError("no connection to NATS")


def test_a_batch_with_a_wrong_guess_is_put_one_by_one(accounts: Service):
    """What is newer in the bucket stays, everything else arrives, also what was guessed rightly beside it."""
    entries = [f"key.{make_lookup()}" for _ in range(40)]

    async def fill(bucket: DirectoryBucket) -> tuple[list[bool | BusAway], list[int]]:
        await bucket.put_newer(entries[7], 5, _body(5))
        await bucket.put_newer(entries[8], 1, _body(1))
        answers = await bucket.put_many([Put(entry, 2, _body(2), ABSENT) for entry in entries])
        return answers, [(await bucket.read(entry) or ABSENT).version for entry in entries]

    answers, versions = in_loop(lambda: _with_bucket(accounts.bus, fill))
    assert answers == [number != 7 for number in range(40)]
    assert versions == [5 if number == 7 else 2 for number in range(40)]


def test_more_than_one_batch_arrives_whole(accounts: Service):
    """By number and by size: no record is lost between two batches, and gateways hear each once."""
    entries = [f"key.{make_lookup()}" for _ in range(1_200)]

    async def fill(bucket: DirectoryBucket) -> tuple[list[bool | BusAway], int]:
        before = len(await bucket.snapshot())
        answers = await bucket.put_many(
            [Put(entry, 1, _body(1, "x" * (90_000 if n < 30 else 10)), ABSENT) for n, entry in enumerate(entries)]
        )
        return answers, len(await bucket.snapshot()) - before

    answers, more = in_loop(lambda: _with_bucket(accounts.bus, fill))
    assert answers == [True] * 1_200
    assert more == 1_200


def test_a_stream_that_takes_no_batches_is_filled_one_by_one(bus: fixtures.Bus):
    """Until the provisioning job has run after an upgrade, filling is slow, not broken."""
    entries = [f"key.{make_lookup()}" for _ in range(50)]

    async def fill(bucket: DirectoryBucket) -> list[bool | BusAway]:
        administrator = await bus.connect("provisioner")
        config = (await administrator.jetstream().stream_info(DIRECTORY_STREAM)).config
        await administrator.jetstream().update_stream(config, allow_atomic=False)
        assert not (await administrator.jetstream().stream_info(DIRECTORY_STREAM)).config.allow_atomic
        await administrator.close()
        return await bucket.put_many([Put(entry, 1, _body(1), ABSENT) for entry in entries])

    assert in_loop(lambda: _with_bucket(bus, fill)) == [True] * 50


def _body(version: int, more: str = "") -> bytes:
    return msgspec.json.encode({"version": version, "more": more})


async def _with_bucket(server: fixtures.Bus, work: Callable[[DirectoryBucket], Awaitable[Result]]) -> Result:
    bus = Bus(server.url, server.passwords["accounts"])
    running = asyncio.create_task(bus.run())
    try:
        bucket = DirectoryBucket(bus)
        await _connected(bucket)
        return await work(bucket)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await bus.close()
