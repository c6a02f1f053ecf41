"""The public keys that sign access tokens, fetched from accounts, cached, fetched again when a token names an unknown one."""

import asyncio
import logging
import time

import httpx
from jwt import PyJWKSet, PyJWTError

log = logging.getLogger(__name__)

FETCH_SECONDS = 3.0
FRESH_SECONDS = 300.0
FLOOR_SECONDS = 2.0


class KeySet:
    """Holds the last good set for as long as accounts is away; a refresh happens at most every two seconds."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(timeout=FETCH_SECONDS, limits=httpx.Limits(max_connections=2), trust_env=False)
        self._url = url
        self._keys: PyJWKSet | None = None
        self._tried = self._fetched = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def get(self, *, containing: str | None) -> PyJWKSet | None:
        """The set, refreshed when it is old or does not contain the wanted key id; None when it was never to be had."""
        if self._is_enough(containing):
            return self._keys
        async with self._one_at_a_time:
            if not self._is_enough(containing) and time.monotonic() - self._tried >= FLOOR_SECONDS:
                await self._fetch()
        return self._keys

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _is_enough(self, containing: str | None) -> bool:
        if self._keys is None or time.monotonic() - self._fetched > FRESH_SECONDS:
            return False
        return any(key.key_id == containing for key in self._keys.keys)

    async def _fetch(self) -> None:
        self._tried = time.monotonic()
        try:
            answer = await self._client.get(self._url)
            answer.raise_for_status()
            self._keys = PyJWKSet.from_dict(answer.json())
        except (httpx.HTTPError, PyJWTError, ValueError, AttributeError) as problem:
            log.warning("key set: cannot be fetched: %s", type(problem).__name__)
        else:
            self._fetched = time.monotonic()
