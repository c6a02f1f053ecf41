"""What a client is told that is refused by a limit per minute or of concurrency: when it may come back, or that it need not."""

import pytest

from common.contracts.directory import Limits
from gateway.domain.rate_limit import Amount, RateScope
from gateway.domain.refused_rate import rate_exceeded
from gateway.inbound.errors import error_headers

NOW, AT = 1_000.0, 1_795_000_000.0


def make_scope(**limits: int) -> RateScope:
    scope = RateScope("end_user", "p/ada", NOW)
    scope.adopt(Limits(version=1, **limits))
    return scope


def test_what_is_used_here_leaves_the_minute() -> None:
    """Then as much fits again."""
    scope = make_scope(tokens_per_minute=5_000)
    scope.use(Amount(1, 4_000, 1), NOW)
    refusal = rate_exceeded(scope, "tokens_per_minute", Amount(1, 1_001, 1), NOW + 10, AT)
    assert (refusal.retry_after, refusal.members["resets_at"]) == (51, "2026-11-18T11:07:31Z")
    assert (refusal.type, refusal.is_final) == ("tokens", False)
    assert dict(error_headers(refusal, b"", "r"))[b"retry-after"] == b"51"


def test_what_others_hold_may_come_back_soon() -> None:
    """Nothing of it was used here."""
    refusal = rate_exceeded(make_scope(requests_per_minute=5), "requests_per_minute", Amount(1, 0, 1), NOW, AT)
    assert (refusal.retry_after, refusal.type, refusal.is_final) == (1, "requests", False)


@pytest.mark.parametrize("tokens", [5_000, 5_001])
def test_what_is_larger_than_the_limit_never_fits(tokens: int) -> None:
    """Nothing says when to come back; a client that tries again by itself is told not to. As much as the limit fits in an empty minute."""
    refusal = rate_exceeded(make_scope(tokens_per_minute=5_000), "tokens_per_minute", Amount(1, tokens, 1), NOW, AT)
    headers = dict(error_headers(refusal, b"", "r"))
    is_larger = tokens > 5_000
    assert (b"retry-after" not in headers, headers.get(b"x-should-retry") == b"false") == (is_larger, is_larger)
    assert (refusal.members["resets_at"] is None, "Request too large" in refusal.message) == (is_larger, is_larger)


@pytest.mark.parametrize("limit", ["requests_per_minute", "concurrency"])
def test_a_limit_of_nothing_lets_nobody_come_back(limit: str) -> None:
    """Until it is changed; the request is not to blame for its size."""
    refusal = rate_exceeded(make_scope(**{limit: 0}), limit, Amount(1, 10, 1), NOW, AT)
    assert (refusal.retry_after, refusal.is_final) == (None, True)
    assert refusal.message.startswith("Limit reached: 0")
