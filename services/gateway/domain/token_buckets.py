"""Token buckets by name, of this process alone: what somebody may do at once, and how fast again after that."""

from collections import OrderedDict

MOST_NAMES = 10_000


class TokenBuckets:
    """`at_once` for each name, filled again by `per_second`; the names least lately seen are forgotten first."""

    def __init__(self, *, per_second: float, at_once: float) -> None:
        self._per_second, self._at_once = per_second, at_once
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, now: float) -> bool:
        """Whether there is one more for it; then it is taken."""
        left = self._left(name, now)
        taken = left >= 1.0
        self._buckets[name] = (left - 1.0 if taken else left, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > MOST_NAMES:
            self._buckets.popitem(last=False)
        return taken

    def wait_of(self, name: str, now: float) -> float:
        """Seconds until there is one more for it; 0.0 if there is now."""
        return max(0.0, 1.0 - self._left(name, now)) / self._per_second

    def _left(self, name: str, now: float) -> float:
        left, at = self._buckets.get(name, (self._at_once, now))
        return min(self._at_once, left + (now - at) * self._per_second)
