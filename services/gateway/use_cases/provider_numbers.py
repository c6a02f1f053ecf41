"""Numbers that an upstream sends, and which of them can be believed: what cannot counts as not sent."""

from common.contracts.events import Usage
from common.contracts.prices import NANOUSD_PER_USD

LARGEST_NANOUSD = 2**53 - 1
"""What every reader of the events still holds exactly."""

LARGEST_TOKENS = 1_000_000_000
"""No model reads or writes that much in one answer."""

LONGEST_WAIT = 86_400.0


def nanousd_of(usd: float) -> int | None:
    """A reported cost; None for what is not finite, negative or too large."""
    return round(usd * NANOUSD_PER_USD) if 0 <= usd <= LARGEST_NANOUSD // NANOUSD_PER_USD else None


def reported_cost(header: bytes | None) -> int | None:
    """What a header says an answer cost, in nano-USD."""
    try:
        return None if header is None else nanousd_of(float(header))
    except ValueError:
        return None


def believable(usage: Usage | None) -> Usage | None:
    """A reported usage, None if one of its counts is absurd."""
    if usage is None or (
        max(usage.prompt_tokens, usage.completion_tokens, usage.cached_prompt_tokens, usage.reasoning_tokens) > LARGEST_TOKENS
    ):
        return None
    return usage


def retry_after_of(header: bytes | None) -> float:
    """Retry-After in seconds; dates and nonsense count as absent."""
    try:
        seconds = float(header) if header else 0.0
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds <= LONGEST_WAIT else 0.0
