"""The response cache against a real Valkey: being busy is no failure."""

import asyncio
from pathlib import Path

from gateway.outbound.response_cache import ResponseCache
from tests.servers import fixtures


async def test_more_requests_than_connections_do_not_open_the_breaker(tmp_path: Path) -> None:
    """Five hundred at once: each gets an answer or a miss, and the cache stays in use."""
    valkey = fixtures.make_valkey(tmp_path / "valkey")
    await asyncio.to_thread(valkey.start)
    cache = ResponseCache(valkey.url, valkey.password)
    try:
        await cache.connect()
        found = await asyncio.gather(*(cache.get(f"key-{number}") for number in range(500)))
        assert found == [None] * 500
        assert not cache.is_open
    finally:
        await cache.close()
        await asyncio.to_thread(valkey.stop)
