"""The refusal of what comes too fast: which limit, how much of it is used and held, when there is room again."""

from datetime import UTC, datetime
from math import ceil

from gateway.domain.limit_views import text_of
from gateway.domain.rate_limit import Amount, RateScope
from gateway.domain.refusals import RateLimited

WHAT_TO_DO = "Ask for less output (max_tokens) or send a shorter prompt."


def too_fast(
    message: str,
    *,
    scope: str,
    scope_id: str,
    limit_name: str,
    limit: int,
    used: int,
    seconds: float | None,
    now: float,
    held: int = 0,
    needed: int = 1,
) -> RateLimited:
    """`seconds` until it may be tried again, None: never; `now` in Unix seconds; `held`: by other gateways."""
    refusal = RateLimited(
        message,
        retry_after=None if seconds is None else max(1, ceil(seconds)),
        limit_source=f"{scope}.{limit_name}",
        scope=scope,
        scope_id=scope_id,
        limit=limit,
        used=used,
        held=held,
        needed=needed,
        resets_at=None if seconds is None else text_of(datetime.fromtimestamp(ceil(now + seconds), UTC)),
    )
    refusal.is_final = seconds is None
    return refusal


def rate_exceeded(scope: RateScope, limit: str, amount: Amount, now: float, at: float) -> RateLimited:
    """`now` in monotonic seconds, `at` the same moment in Unix seconds. What is larger than the whole limit is refused for good."""
    by_tokens = limit == "tokens_per_minute"
    needed, most = amount.tokens if by_tokens else 1, scope.limit_of(limit)
    used, held = _used_and_held(scope, limit, now)
    held = max(held, most - used - needed + 1)  # what is neither used nor to be had is kept for others
    refusal = too_fast(
        _message(scope, limit, needed, most),
        scope=scope.scope,
        scope_id=scope.scope_id,
        limit_name=limit,
        limit=most,
        used=used,
        seconds=None if needed > most else _seconds(scope, limit, needed, now),
        now=at,
        held=held,
        needed=needed,
    )
    refusal.type = "tokens" if by_tokens else "requests"
    return refusal


def _message(scope: RateScope, limit: str, needed: int, most: int) -> str:
    owner, of_minute = scope.scope.replace("_", " "), limit.replace("_", " ")
    if needed > most > 0:
        return f"Request too large: it may need {needed} tokens, the limit of the {owner} is {most} {of_minute}. {WHAT_TO_DO}"
    return f"Limit reached: {most} {of_minute} of the {owner}."


def _used_and_held(scope: RateScope, limit: str, now: float) -> tuple[int, int]:
    window, others = scope.window_at(now), scope.others_now(now)
    return {
        "requests_per_minute": (window.requests, others.requests),
        "tokens_per_minute": (window.tokens, others.tokens),
        "concurrency": (scope.slots, others.slots),
    }[limit]


def _seconds(scope: RateScope, limit: str, needed: int, now: float) -> float:
    """Until it would fit: what this gateway has used leaves the minute; what others hold or have used may do so at any moment."""
    if limit == "concurrency":
        return 1.0
    elsewhere, window = scope.used_elsewhere(now), scope.window_at(now)
    if limit == "requests_per_minute":
        missing = window.requests + elsewhere.requests + needed - scope.limit_of(limit)
        return window.seconds_until(missing, 0, now) if 0 < missing <= window.requests else 1.0
    missing = window.tokens + elsewhere.tokens + needed - scope.limit_of(limit)
    return window.seconds_until(0, missing, now) if 0 < missing <= window.tokens else 1.0
