"""Where limits per minute stand, in the names and formats that OpenAI's clients know (x-ratelimit-*)."""

from collections.abc import Iterable

from gateway.domain.rate_limit import RateScope


def rate_headers(scopes: Iterable[RateScope], now: float) -> list[tuple[bytes, bytes]]:
    """Of the scope with the least left, for requests and for tokens; empty where neither has a limit."""
    requests: tuple[int, int, float] | None = None
    tokens: tuple[int, int, float] | None = None
    for scope in scopes:
        window, others = scope.window, scope.others_now(now)
        window.slide(now)
        if scope.limit_requests is not None:
            left = max(0, scope.limit_requests - window.requests - others.requests)
            if requests is None or left < requests[1]:
                requests = (scope.limit_requests, left, window.seconds_until(1, 0, now) if left == 0 else 0.0)
        if scope.limit_tokens is not None:
            left = max(0, scope.limit_tokens - window.tokens - others.tokens)
            if tokens is None or left < tokens[1]:
                tokens = (scope.limit_tokens, left, window.seconds_until(0, 1, now) if left == 0 else 0.0)
    return [*_lines(b"requests", requests), *_lines(b"tokens", tokens)]


def _lines(unit: bytes, found: tuple[int, int, float] | None) -> list[tuple[bytes, bytes]]:
    if found is None:
        return []
    limit, left, seconds = found
    return [
        (b"x-ratelimit-limit-" + unit, b"%d" % limit),
        (b"x-ratelimit-remaining-" + unit, b"%d" % left),
        (b"x-ratelimit-reset-" + unit, duration(seconds).encode()),
    ]


def duration(seconds: float) -> str:
    """As OpenAI writes it: 120ms, 1s, 6m0s."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    whole = round(seconds)
    return f"{whole}s" if whole < 60 else f"{whole // 60}m{whole % 60}s"
