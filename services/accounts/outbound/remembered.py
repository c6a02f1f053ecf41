"""A document of somebody else's that is fetched when it is needed and kept for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Document = TypeVar("Document")

FRESH_SECONDS = 3600.0
REFRESH_PAUSE_SECONDS = 30.0
FAILURE_PAUSE_SECONDS = 2.0


class FetchFailed(Exception):
    """The document could not be had; for a moment nobody tries again, so that not everybody waits for a server that is away."""


class Remembered(Generic[Document]):
    """Fetched by one at a time, while the others wait for what that one brings."""

    def __init__(self, fetch: Callable[[], Awaitable[Document]], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = asyncio.Lock()
        self._document: Document | None = None
        self._fetched_at = self._failed_at = self._refreshed_at = float("-inf")

    async def get(self) -> Document:
        """The document, at most an hour old. Raises FetchFailed."""
        async with self._lock:
            if self._document is None or self._age(self._fetched_at) >= FRESH_SECONDS:
                return await self._fetched()
            return self._document

    async def refreshed(self) -> Document:
        """The document once more, because what was looked for is not in it; asked again soon it stays as it is."""
        async with self._lock:
            if self._document is not None and self._age(self._refreshed_at) < REFRESH_PAUSE_SECONDS:
                return self._document
            self._refreshed_at = self._clock()
            return await self._fetched()

    async def _fetched(self) -> Document:
        if self._age(self._failed_at) < FAILURE_PAUSE_SECONDS:
            raise FetchFailed("failed a moment ago")
        try:
            self._document = await self._fetch()
        except FetchFailed:
            self._failed_at = self._clock()
            raise
        self._fetched_at = self._clock()
        return self._document

    def _age(self, moment: float) -> float:
        return self._clock() - moment
