"""Where limits per minute stand, in the names and formats that OpenAI's clients know (x-ratelimit-*)."""

from collections.abc import Iterable

from gateway.domain.rate_limit import RateScope

_LINES = {
    unit: b"x-ratelimit-limit-%b: %%d\r\nx-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %%b\r\n" % (unit, unit, unit)
    for unit in (b"requests", b"tokens")
}
_REQUESTS, _TOKENS = _LINES[b"requests"], _LINES[b"tokens"]

Tightest = tuple[RateScope | None, RateScope | None]


def tightest(scopes: Iterable[RateScope], now: float) -> Tightest:
    """The scopes with the least left for requests and for tokens; None where none has such a limit."""
    by_requests = by_tokens = None
    least_requests = least_tokens = 0
    for scope in scopes:
        requests, tokens = scope.used_at(now)
        if scope.limit_requests is not None:
            left = scope.limit_requests - requests
            if by_requests is None or left < least_requests:
                by_requests, least_requests = scope, left
        if scope.limit_tokens is not None:
            left = scope.limit_tokens - tokens
            if by_tokens is None or left < least_tokens:
                by_tokens, least_tokens = scope, left
    return by_requests, by_tokens


def lines_of(found: Tightest, now: float) -> bytes:
    """As lines of an answer's head; empty where neither has a limit."""
    by_requests, by_tokens = found
    lines = b""
    if by_requests is not None and by_requests.limit_requests is not None:
        left = by_requests.limit_requests - by_requests.used_at(now)[0]
        reset = b"0ms" if left > 0 else duration(by_requests.window_at(now).seconds_until(1, 0, now))
        lines = _REQUESTS % (by_requests.limit_requests, max(0, left), reset)
    if by_tokens is not None and by_tokens.limit_tokens is not None:
        left = by_tokens.limit_tokens - by_tokens.used_at(now)[1]
        reset = b"0ms" if left > 0 else duration(by_tokens.window_at(now).seconds_until(0, 1, now))
        lines += _TOKENS % (by_tokens.limit_tokens, max(0, left), reset)
    return lines


def headers_of(lines: bytes) -> list[tuple[bytes, bytes]]:
    """The same as pairs."""
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines.split(b"\r\n")[:-1])]


def duration(seconds: float) -> bytes:
    """As OpenAI writes it: 120ms, 1s, 6m0s."""
    if seconds < 1:
        return b"%dms" % max(0, round(seconds * 1000))
    whole = round(seconds)
    return b"%ds" % whole if whole < 60 else b"%dm%ds" % divmod(whole, 60)
