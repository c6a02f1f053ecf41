"""Token buckets: so many requests per minute and name, with a minute's worth at once for whoever has been quiet."""

import math
from collections import OrderedDict
from dataclasses import dataclass

MINUTE_SECONDS = 60.0
REMEMBERED_NAMES = 50_000


@dataclass(frozen=True, slots=True)
class Taken:
    """`remaining` whole requests; `wait_seconds` 0 when this one may proceed; `full_seconds` until the whole minute's worth is back."""

    remaining: int
    wait_seconds: int
    full_seconds: int


class TokenBuckets:
    """A bucket per name. The clock is an argument.

    Beyond REMEMBERED_NAMES the one that has been quiet for longest is forgotten, which fills its bucket: a flood of names costs
    no memory, and the names that matter in it are not quiet.
    """

    def __init__(self, per_minute: int) -> None:
        self._capacity = float(per_minute)
        self._rate = per_minute / MINUTE_SECONDS
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str, now: float) -> Taken:
        """One request, which costs nothing when it is refused."""
        tokens, at = self._buckets.get(name, (self._capacity, now))
        tokens = min(self._capacity, tokens + max(0.0, now - at) * self._rate)
        allowed = tokens >= 1
        tokens -= allowed
        self._buckets[name] = tokens, now
        self._buckets.move_to_end(name)
        if len(self._buckets) > REMEMBERED_NAMES:
            self._buckets.popitem(last=False)
        wait = 0 if allowed else max(1, math.ceil((1 - tokens) / self._rate))
        return Taken(int(tokens), wait, math.ceil((self._capacity - tokens) / self._rate))
