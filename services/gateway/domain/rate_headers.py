"""Where limits per minute stand, in the names and formats that OpenAI's clients know (x-ratelimit-*)."""

from collections.abc import Iterable

from gateway.domain.rate_limit import RateScope


class Tightest:
    """The scopes with the least left for requests and for tokens when it is made; what is left of them is told as it is then."""

    __slots__ = ("_by_requests", "_by_tokens", "_limit_requests", "_limit_tokens", "_usual")

    def __init__(self, scopes: Iterable[RateScope], now: float) -> None:
        self._by_requests: RateScope | None = None
        self._by_tokens: RateScope | None = None
        self._limit_requests = self._limit_tokens = 0
        least_requests = least_tokens = 0
        for scope in scopes:
            requests, tokens = scope.used_at(now)
            if scope.limit_requests is not None:
                left = scope.limit_requests - requests
                if self._by_requests is None or left < least_requests:
                    self._by_requests, self._limit_requests, least_requests = scope, scope.limit_requests, left
            if scope.limit_tokens is not None:
                left = scope.limit_tokens - tokens
                if self._by_tokens is None or left < least_tokens:
                    self._by_tokens, self._limit_tokens, least_tokens = scope, scope.limit_tokens, left
        self._usual = _lines(b"requests", self._limit_requests) + _lines(b"tokens", self._limit_tokens)

    def lines(self, now: float) -> bytes:
        """As lines of an answer's head; empty where neither has a limit."""
        requests, tokens = self._by_requests, self._by_tokens
        used_requests = used_tokens = 0
        if requests is not None:
            used_requests, used_tokens = requests.used_at(now)
        if tokens is not None and tokens is not requests:
            used_tokens = tokens.used_at(now)[1]
        left_requests, left_tokens = self._limit_requests - used_requests, self._limit_tokens - used_tokens
        if requests is not None and tokens is not None and left_requests > 0 and left_tokens > 0:
            return self._usual % (left_requests, left_tokens)
        lines = b""
        if requests is not None:
            reset = 0.0 if left_requests > 0 else requests.window_at(now).seconds_until(1, 0, now)
            lines = _lines(b"requests", self._limit_requests, duration(reset)) % max(0, left_requests)
        if tokens is not None:
            reset = 0.0 if left_tokens > 0 else tokens.window_at(now).seconds_until(0, 1, now)
            lines += _lines(b"tokens", self._limit_tokens, duration(reset)) % max(0, left_tokens)
        return lines


def _lines(unit: bytes, limit: int, reset: bytes = b"0ms") -> bytes:
    """All but what remains."""
    return b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %b\r\n" % (
        unit,
        limit,
        unit,
        unit,
        reset,
    )


def headers_of(lines: bytes) -> list[tuple[bytes, bytes]]:
    """The same as pairs."""
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines.split(b"\r\n")[:-1])]


def duration(seconds: float) -> bytes:
    """As OpenAI writes it: 120ms, 1s, 6m0s."""
    if seconds < 1:
        return b"%dms" % max(0, round(seconds * 1000))
    whole = round(seconds)
    return b"%ds" % whole if whole < 60 else b"%dm%ds" % divmod(whole, 60)
