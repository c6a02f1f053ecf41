"""What was used in the last 60 seconds, by the second."""

from collections import deque

WINDOW = 60


class Window:
    """Use of the last 60 seconds: an amount counts until a whole minute has passed over its second."""

    __slots__ = ("_buckets", "requests", "tokens")

    def __init__(self) -> None:
        self._buckets: deque[list[int]] = deque()
        self.requests = self.tokens = 0

    def add(self, requests: int, tokens: int, second: int) -> None:
        """Count it in that second, which is the newest."""
        buckets = self._buckets
        if not buckets or buckets[-1][0] != second:
            buckets.append([second, 0, 0])
        newest = buckets[-1]
        newest[1] += requests
        newest[2] += tokens
        self.requests += requests
        self.tokens += tokens

    def correct(self, requests: int, tokens: int, second: int) -> None:
        """More or less in the second it was counted in; nothing if that has left the window."""
        bucket = next((bucket for bucket in reversed(self._buckets) if bucket[0] == second), None)
        if bucket is not None:
            requests, tokens = max(requests, -bucket[1]), max(tokens, -bucket[2])
            bucket[1] += requests
            bucket[2] += tokens
            self.requests += requests
            self.tokens += tokens

    def slide(self, second: int) -> None:
        """Forget what is older than a minute before that second."""
        buckets = self._buckets
        while buckets and buckets[0][0] < second - WINDOW:
            _, requests, tokens = buckets.popleft()
            self.requests -= requests
            self.tokens -= tokens

    def seconds_until(self, requests: int, tokens: int, now: float) -> float:
        """Until so many requests and tokens have left the window."""
        for second, counted_requests, counted_tokens in self._buckets:
            requests -= counted_requests
            tokens -= counted_tokens
            if requests <= 0 and tokens <= 0:
                return max(0.0, second + WINDOW + 1 - now)
        return float(WINDOW)
