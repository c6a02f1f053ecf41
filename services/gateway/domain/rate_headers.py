"""Where limits per minute stand, in the names and formats that OpenAI's clients know (x-ratelimit-*)."""

from collections.abc import Iterable

from gateway.domain.rate_limit import RateScope

_LINES = {
    unit: b"x-ratelimit-limit-%b: %%d\r\nx-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %%b\r\n" % (unit, unit, unit)
    for unit in (b"requests", b"tokens")
}
_REQUESTS, _TOKENS = _LINES[b"requests"], _LINES[b"tokens"]


def rate_headers(scopes: Iterable[RateScope], now: float) -> list[tuple[bytes, bytes]]:
    """Of the scope with the least left, for requests and for tokens; empty where neither has a limit."""
    lines = rate_header_lines(scopes, now).split(b"\r\n")[:-1]
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]


def rate_header_lines(scopes: Iterable[RateScope], now: float) -> bytes:
    """The same as lines of an answer's head."""
    by_requests = by_tokens = None
    least_requests = least_tokens = 0
    for scope in scopes:
        window = scope.window
        window.slide(now)
        others = scope.others_now(now)
        if scope.limit_requests is not None:
            left = scope.limit_requests - window.requests - others.requests
            if by_requests is None or left < least_requests:
                by_requests, least_requests = scope, left
        if scope.limit_tokens is not None:
            left = scope.limit_tokens - window.tokens - others.tokens
            if by_tokens is None or left < least_tokens:
                by_tokens, least_tokens = scope, left
    lines = b""
    if by_requests is not None:
        reset = b"0ms" if least_requests > 0 else duration(by_requests.window.seconds_until(1, 0, now))
        lines = _REQUESTS % (by_requests.limit_requests, max(0, least_requests), reset)
    if by_tokens is not None:
        reset = b"0ms" if least_tokens > 0 else duration(by_tokens.window.seconds_until(0, 1, now))
        lines += _TOKENS % (by_tokens.limit_tokens, max(0, least_tokens), reset)
    return lines


def duration(seconds: float) -> bytes:
    """As OpenAI writes it: 120ms, 1s, 6m0s."""
    if seconds < 1:
        return b"%dms" % max(0, round(seconds * 1000))
    whole = round(seconds)
    return b"%ds" % whole if whole < 60 else b"%dm%ds" % divmod(whole, 60)
