"""How often a key may ask what others must be asked for, and what it is told beyond that."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.caller import Caller, join
from gateway.domain.refusals import RateLimited
from gateway.domain.token_buckets import TokenBuckets
from gateway.use_cases.limit_questions import LimitQuestions
from tests.unit.gateway.directory_makers import fresh_plaintext, key_record, organization_record, project_record


def make_caller() -> Caller:
    return join(key_record(fresh_plaintext()), project_record(), organization_record(), None)


def until_refused(limit: LimitQuestions, caller: Caller) -> RateLimited:
    while True:
        try:
            limit(caller)
        except RateLimited as refusal:
            return refusal


def test_a_key_that_asks_too_often_is_told_when_to_ask_again() -> None:
    """With the members of every limit; another key is not concerned."""
    limit, caller = LimitQuestions("estimates", per_second=1, at_once=3), make_caller()
    refusal = until_refused(limit, caller)
    assert (refusal.status, refusal.code, refusal.retry_after) == (429, "rate_limit_exceeded", 1)
    resets_at = datetime.fromisoformat(refusal.members.pop("resets_at"))
    assert resets_at.tzinfo == UTC
    assert refusal.members == {
        "limit_source": "key.estimates_per_second",
        "scope": "key",
        "scope_id": caller.key.key_id,
        "limit": 1,
        "used": 1,
        "held": 0,
        "needed": 1,
    }
    limit(make_caller())


@given(st.integers(1, 50), st.integers(1, 100), st.floats(0, 5))
def test_whoever_waits_as_long_as_told_gets_one_more(per_second: int, at_once: int, later: float) -> None:
    """And there is nothing to wait for while something is left."""
    buckets, now = TokenBuckets(per_second=per_second, at_once=at_once), 1_000.0
    while buckets.take("a", now):
        pass
    now += later
    wait = buckets.wait_of("a", now)
    assert 0 <= wait <= 1 / per_second
    assert buckets.take("a", now + wait + 1e-6)
    assert buckets.wait_of("b", now) == 0
