"""Whole answers in Redis or Valkey, evictable; every call has 20 ms, and after failures in a row the cache is left alone for a while."""

import asyncio
import importlib
import logging
import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger(__name__)

BUDGET_SECONDS = 0.02
FAILURES_TO_OPEN = 3
OPEN_SECONDS = 5.0
CONNECTIONS = 64
MAX_ENTRY_BYTES = 1024 * 1024


class CachedAnswer(msgspec.Struct, frozen=True):
    """An answer as the client got it, what it used, and which model gave it."""

    body: bytes
    content_type: str
    model: str
    tier: str
    prompt_tokens: int
    completion_tokens: int
    cost_nanousd: int


_decode = msgspec.msgpack.Decoder(CachedAnswer).decode
_encode = msgspec.msgpack.Encoder().encode


class ResponseCache:
    """Get and put never raise and never take much longer than their budget: a cache that is away is a miss."""

    def __init__(self, url: str, password: str | None) -> None:
        self._url = url
        self._password = password or None
        self._client: Redis | None = None
        self._errors: tuple[type[BaseException], ...] = (OSError, TimeoutError)
        self._failures = 0
        self._open_until = self._failed_at = 0.0
        self._places = asyncio.Semaphore(CONNECTIONS)
        self.hits = self.misses = self.errors = 0

    async def connect(self) -> None:
        """Load the client library beside the first requests (it takes a third of a second); until then the cache is left out."""
        redis = await asyncio.to_thread(importlib.import_module, "redis.asyncio")
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        self._errors = (redis.RedisError, OSError, TimeoutError)
        self._client = redis.from_url(
            self._url,
            password=self._password,
            socket_timeout=BUDGET_SECONDS,
            socket_connect_timeout=BUDGET_SECONDS * 5,
            client_name="codexflow-gateway",
            retry=Retry(NoBackoff(), 0),  # its default tries for seconds
            max_connections=2 * CONNECTIONS,  # more than there are places: it is never exhausted
        )

    @property
    def is_open(self) -> bool:
        """Whether the breaker keeps requests away from the cache at present."""
        return time.monotonic() < self._open_until

    async def get(self, key: str) -> CachedAnswer | None:
        """The answer stored under a key, or None."""
        if self._client is None or self.is_open:
            return None
        placed = False
        try:
            async with asyncio.timeout(BUDGET_SECONDS), self._places:
                placed = True
                value = await self._client.get(key)
        except self._errors:
            if placed:
                self._failed()
            else:
                self.misses += 1  # busy with others' requests, which says nothing against the cache
            return None
        self._failures = 0
        if value is None:
            self.misses += 1
            return None
        try:
            answer = _decode(value)  # type: ignore[arg-type] # bytes: decode_responses is off
        except msgspec.MsgspecError:
            self.misses += 1
            return None
        self.hits += 1
        return answer

    async def put(self, key: str, answer: CachedAnswer, ttl_seconds: int) -> None:
        """Store an answer for a while; too large ones are not kept."""
        if self._client is None or self.is_open or len(answer.body) > MAX_ENTRY_BYTES:
            return
        if self._places.locked():  # storing is for quiet times
            return
        try:
            async with self._places:
                await self._client.set(key, _encode(answer), ex=ttl_seconds)
        except self._errors:
            self._failed()

    def _failed(self) -> None:
        self.errors += 1
        now = time.monotonic()
        if now - self._failed_at < BUDGET_SECONDS:  # those of one burst or one stall of ours are one failure
            return
        self._failed_at = now
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            self._failures = 0
            self._open_until = now + OPEN_SECONDS
            log.warning("response cache: left alone for %s s after failures", OPEN_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
