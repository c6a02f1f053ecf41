"""Refuse a key that asks too often what others must be asked for: no other limit counts these questions."""

import time

from gateway.domain.caller import Caller
from gateway.domain.refused_rate import too_fast
from gateway.domain.token_buckets import TokenBuckets

PER_SECOND, AT_ONCE = 20, 100
"""Of each key, in this process."""


class LimitQuestions:
    """One for each kind of question; `kind` is its name in the plural."""

    def __init__(self, kind: str, *, per_second: int = PER_SECOND, at_once: int = AT_ONCE) -> None:
        self._kind = kind
        self._per_second = per_second
        self._buckets = TokenBuckets(per_second=per_second, at_once=at_once)

    def __call__(self, caller: Caller) -> None:
        """Count one more of this key. Raises RateLimited."""
        key_id, now = caller.key.key_id, time.monotonic()
        if self._buckets.take(key_id, now):
            return
        raise too_fast(
            f"Too many {self._kind} with this API key.",
            scope="key",
            scope_id=key_id,
            limit_name=f"{self._kind}_per_second",
            limit=self._per_second,
            used=self._per_second,  # the bucket is empty
            seconds=self._buckets.wait_of(key_id, now),
            now=time.time(),
        )
