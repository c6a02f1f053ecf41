"""A sliding window that slows guessing down: so many attempts per minute and name."""

from collections import deque

WINDOW_SECONDS = 60.0
REMEMBERED_NAMES = 50_000


class Throttle:
    """Allows `attempts` per name in a minute; forgets the idle ones when there are too many names. The clock is an argument."""

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._tried: dict[str, deque[float]] = {}

    def attempt(self, name: str, now: float) -> float:
        """Count an attempt: 0 when it may proceed, else the seconds to wait (a refused attempt is not counted)."""
        times = self._tried.get(name)
        if times is None:
            self._make_room(now)
            times = self._tried[name] = deque(maxlen=self._attempts)
        while times and now - times[0] >= WINDOW_SECONDS:
            times.popleft()
        if len(times) == self._attempts:
            return WINDOW_SECONDS - (now - times[0])
        times.append(now)
        return 0.0

    def _make_room(self, now: float) -> None:
        if len(self._tried) < REMEMBERED_NAMES:
            return
        self._tried = {name: times for name, times in self._tried.items() if times and now - times[-1] < WINDOW_SECONDS}
        while len(self._tried) > REMEMBERED_NAMES * 9 // 10:  # room for many, so that a flood of names stays cheap
            self._tried.pop(next(iter(self._tried)))
