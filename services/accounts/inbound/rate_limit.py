"""What an answer says about the rate limit, in the words of draft-ietf-httpapi-ratelimit-headers-10."""

from starlette.types import ASGIApp

from accounts.domain.token_buckets import MINUTE_SECONDS, Taken
from common.problems import TooManyRequests, render


def limit_headers(per_minute: int, taken: Taken) -> dict[str, str]:
    """`q` requests in `w` seconds; `r` are left, and all of them again in `t` seconds."""
    return {
        "ratelimit-policy": f'"management";q={per_minute};w={MINUTE_SECONDS:.0f}',
        "ratelimit": f'"management";r={taken.remaining};t={taken.full_seconds}',
    }


def limited(per_minute: int, taken: Taken) -> ASGIApp:
    """429, and when to come back."""
    detail = f"At most {per_minute} requests per minute; come back in {taken.wait_seconds} seconds."
    return render(429, TooManyRequests.code, detail, retry_after_seconds=taken.wait_seconds)
