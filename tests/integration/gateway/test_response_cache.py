"""The response cache against a real Valkey: being busy is no failure."""

import asyncio
from pathlib import Path

from gateway.outbound.response_cache import ResponseCache
from tests.servers import fixtures
from tests.undisturbed import undisturbed


async def test_more_requests_than_connections_do_not_open_the_breaker(tmp_path: Path) -> None:
    """Five hundred at once: each gets an answer or a miss, and the cache stays in use."""
    valkey = fixtures.make_valkey(tmp_path / "valkey")
    await asyncio.to_thread(valkey.start)

    async def ask_all_at_once() -> None:
        cache = ResponseCache(valkey.url, valkey.password)
        try:
            await cache.connect()
            found = await asyncio.gather(*(cache.get(f"key-{number}") for number in range(500)))
            assert found == [None] * 500
            assert not cache.is_open
        finally:
            await cache.close()

    try:
        # A stall of a few hundredths of a second is a failure of the cache for those who hold a connection.
        await undisturbed(ask_all_at_once, stall_seconds=0.01)
    finally:
        await asyncio.to_thread(valkey.stop)
