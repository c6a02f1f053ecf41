"""Where limits per minute stand, in the names and formats that OpenAI's clients know (x-ratelimit-*)."""

from collections.abc import Iterable

from gateway.domain.rate_limit import RateScope

_REQUESTS = (b"x-ratelimit-limit-requests", b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests")
_TOKENS = (b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens")


def rate_headers(scopes: Iterable[RateScope], now: float) -> list[tuple[bytes, bytes]]:
    """Of the scope with the least left, for requests and for tokens; empty where neither has a limit."""
    by_requests = by_tokens = None
    least_requests = least_tokens = 0
    for scope in scopes:
        window, others = scope.window, scope.others_now(now)
        window.slide(now)
        if scope.limit_requests is not None:
            left = scope.limit_requests - window.requests - others.requests
            if by_requests is None or left < least_requests:
                by_requests, least_requests = scope, left
        if scope.limit_tokens is not None:
            left = scope.limit_tokens - window.tokens - others.tokens
            if by_tokens is None or left < least_tokens:
                by_tokens, least_tokens = scope, left
    lines: list[tuple[bytes, bytes]] = []
    if by_requests is not None:
        seconds = 0.0 if least_requests > 0 else by_requests.window.seconds_until(1, 0, now)
        lines += zip(_REQUESTS, _values(by_requests.limit_requests or 0, least_requests, seconds), strict=True)
    if by_tokens is not None:
        seconds = 0.0 if least_tokens > 0 else by_tokens.window.seconds_until(0, 1, now)
        lines += zip(_TOKENS, _values(by_tokens.limit_tokens or 0, least_tokens, seconds), strict=True)
    return lines


def _values(limit: int, left: int, seconds: float) -> tuple[bytes, bytes, bytes]:
    return b"%d" % limit, b"%d" % max(0, left), duration(seconds) if seconds else b"0ms"


def duration(seconds: float) -> bytes:
    """As OpenAI writes it: 120ms, 1s, 6m0s."""
    if seconds < 1:
        return b"%dms" % max(0, round(seconds * 1000))
    whole = round(seconds)
    return b"%ds" % whole if whole < 60 else b"%dm%ds" % divmod(whole, 60)
