"""The fence of the DIRECTORY bucket, against a real server."""

import asyncio
from contextlib import suppress

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.outbound.bus import Bus, BusAway
from accounts.outbound.directory_bucket import ABSENT, DirectoryBucket
from common.contracts.api_keys import make_lookup
from common.contracts.subjects import DIRECTORY_REPUBLISHED
from tests.integration.accounts.bucket import in_loop
from tests.integration.accounts.conftest import Service

puts = st.lists(st.tuples(st.integers(1, 8), st.booleans()), min_size=1, max_size=12)


@given(writers=st.lists(puts, min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_an_older_version_never_wins(accounts: Service, writers: list[list[tuple[int, bool]]]):
    """However many relays put whatever versions in whatever order, guessing wrongly or not: readers see them only rise."""
    entry = f"key.{make_lookup()}"

    async def race() -> tuple[list[int], int]:
        seen: list[int] = []
        reader = await accounts.bus.connect("gateway")
        heard = await reader.subscribe(f"{DIRECTORY_REPUBLISHED}.{entry}")
        await reader.flush()
        bus = Bus(accounts.bus.url, accounts.bus.passwords["accounts"])
        running = asyncio.create_task(bus.run())
        bucket = DirectoryBucket(bus)
        await _connected(bucket)

        async def write(versions: list[tuple[int, bool]]) -> None:
            for version, absent in versions:
                await bucket.put_newer(entry, version, msgspec.json.encode({"version": version}), ABSENT if absent else None)

        await asyncio.gather(*map(write, writers))
        stored = await bucket.read(entry)
        assert (await bucket.snapshot())[entry] == stored
        await reader.flush()
        while heard.pending_msgs:
            seen.append(msgspec.json.decode((await heard.next_msg(1)).data)["version"])
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await bus.close()
        await reader.close()
        return seen, stored.version if stored else 0

    seen, stored = in_loop(race)
    assert seen == sorted(set(seen))
    assert stored == seen[-1] == max(version for writer in writers for version, _ in writer)


async def _connected(bucket: DirectoryBucket) -> None:
    for _ in range(100):
        with suppress(BusAway):
            await bucket.created()
            return
        await asyncio.sleep(0.02)
    raise TimeoutError("no connection to NATS")
