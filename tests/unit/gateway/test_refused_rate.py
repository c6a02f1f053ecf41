"""What a client is told that is refused by a limit per minute or of concurrency: when it may come back, or that it need not."""

import pytest

from common.contracts.directory import Limits
from common.contracts.rates import RateAnswer
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


def test_it_fits_when_as_much_has_left_as_is_missing_whatever_the_other_unit_says() -> None:
    """The oldest of five requests makes room for one; 700 tokens of long ago for those that are missing."""
    scope = make_scope(requests_per_minute=5, tokens_per_minute=1_000)
    scope.use(Amount(1, 700, 1), NOW)
    for second in range(1, 5):
        scope.use(Amount(1, 10, 1), NOW + 10 * second)
    by_requests = rate_exceeded(scope, "requests_per_minute", Amount(1, 824, 1), NOW + 55, AT + 55)
    by_tokens = rate_exceeded(scope, "tokens_per_minute", Amount(1, 824, 1), NOW + 55, AT + 55)
    assert (by_requests.retry_after, by_tokens.retry_after) == (6, 6)


def test_what_others_hold_may_come_back_soon() -> None:
    """Nothing of it was used here; whatever is neither used nor to be had is held for others."""
    refusal = rate_exceeded(make_scope(requests_per_minute=5), "requests_per_minute", Amount(1, 0, 1), NOW, AT)
    assert (refusal.retry_after, refusal.type, refusal.is_final) == (1, "requests", False)
    assert (refusal.members["used"], refusal.members["held"], refusal.members["limit"]) == (0, 5, 5)


@pytest.mark.parametrize(("idle", "seconds"), [(0, 51), (2, 1)])
def test_what_others_have_used_counts_and_what_they_only_hold_does_not(idle: int, seconds: int) -> None:
    """Ours must leave the minute where others have used the rest; where they do not need it, it comes back sooner."""
    scope = make_scope(requests_per_minute=5)
    ask = scope.shape(Amount(), NOW, 1)
    scope.use(Amount(3), NOW)
    answer = RateAnswer(scope=ask.scope, scope_id=ask.scope_id, seq=1, others_requests=2, idle_requests=idle)
    scope.take(answer, 5.0, NOW + 9)
    assert rate_exceeded(scope, "requests_per_minute", Amount(1), NOW + 10, AT).retry_after == seconds


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
