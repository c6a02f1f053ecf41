"""A provider's documents: fetched when needed, kept for a while, never asked for by a crowd."""

import asyncio

import pytest

from accounts.outbound.remembered import (
    FAILURE_PAUSE_SECONDS,
    FRESH_SECONDS,
    REFRESH_PAUSE_SECONDS,
    FetchFailed,
    Remembered,
)


class Source:
    """Counts how often it is asked; `away` makes it fail."""

    def __init__(self) -> None:
        self.asked = 0
        self.now = 1000.0
        self.away = False
        self.remembered = Remembered(self._fetch, lambda: self.now)

    async def _fetch(self) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise FetchFailed("away")
        return self.asked


async def test_one_fetches_for_all():
    """However many ask at once, and until the document is an hour old."""
    source = Source()
    assert await asyncio.gather(*(source.remembered.get() for _ in range(10))) == [1] * 10
    source.now += FRESH_SECONDS - 1
    assert await source.remembered.get() == 1
    source.now += 2
    assert await source.remembered.get() == 2


async def test_a_refresh_is_had_at_once_but_not_again_soon():
    """A new key is found right after a fetch; made-up keys cause no load."""
    source = Source()
    assert await source.remembered.get() == 1
    assert await source.remembered.refreshed() == 2
    assert await source.remembered.refreshed() == 2
    source.now += REFRESH_PAUSE_SECONDS + 1
    assert await source.remembered.refreshed() == 3


async def test_a_failure_is_remembered_for_a_moment():
    """Who comes while it lasts is told at once, and does not wait for the same failure."""
    source = Source()
    source.away = True
    for _ in range(5):
        with pytest.raises(FetchFailed):
            await source.remembered.get()
    assert source.asked == 1
    source.away = False
    source.now += FAILURE_PAUSE_SECONDS + 0.1
    assert await source.remembered.get() == 2
