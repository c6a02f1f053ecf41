"""The refusal of what a budget does not cover: when to come again, or that it never fits."""

import msgspec
import pytest

from gateway.domain.refused_budget import LONGEST_RETRY_AFTER, WHAT_TO_DO, exceeded
from gateway.inbound.errors import error_body, error_headers
from tests.unit.gateway.test_budget import make_account, make_answer

NOW = 1_793_000_000.0


@pytest.mark.parametrize(
    ("needed", "retry_after", "is_final"),
    [(901, LONGEST_RETRY_AFTER, False), (1_000, LONGEST_RETRY_AFTER, False), (1_001, None, True)],
)
def test_only_what_is_larger_than_the_whole_budget_is_refused_for_good(
    needed: int,
    retry_after: int | None,
    is_final: bool,
) -> None:
    """What is spent comes back when the period ends; what never fits is not to be sent again, and the client is told what would help."""
    account = make_account(tokens=1_000)
    account.take_answer(msgspec.structs.replace(make_answer(1, 0), used_tokens=100))
    refusal = exceeded(account, needed, 0, "UTC", NOW)
    body = error_body(refusal)
    error, headers = msgspec.json.decode(body)["error"], dict(error_headers(refusal, body, "r"))
    assert (refusal.retry_after, refusal.is_final, error["resets_at"] is None) == (retry_after, is_final, is_final)
    assert (b"retry-after" not in headers, headers.get(b"x-should-retry") == b"false") == (is_final, is_final)
    assert (
        error["message"].startswith("Request too large: it may need 1001 tokens, the monthly budget of the project is 1000.")
    ) == is_final
    assert error["message"].endswith(WHAT_TO_DO) == is_final
    assert (error["limit"], error["used"], error["needed"]) == (1_000, 100, needed)


def test_a_budget_of_nothing_asks_for_no_shorter_prompt() -> None:
    """Nothing would help, so nothing is advised."""
    refusal = exceeded(make_account(tokens=0), 10, 0, "UTC", NOW)
    assert (refusal.is_final, refusal.retry_after, WHAT_TO_DO in refusal.message) == (True, None, False)


def test_the_unit_that_never_fits_is_named_before_the_one_that_is_spent() -> None:
    """Without any answer too, when both are short for not being granted."""
    account = make_account(tokens=1_000, nanousd=500)
    refusal = exceeded(account, 10, 501, "UTC", NOW)
    assert (refusal.members["unit"], refusal.members["limit"], refusal.is_final) == ("nanousd", 500, True)
    account.take_answer(msgspec.structs.replace(make_answer(1, 0, 0), used_tokens=1_000))
    assert exceeded(account, 10, 501, "UTC", NOW).members["unit"] == "nanousd"
    assert exceeded(account, 10, 500, "UTC", NOW).members["unit"] == "tokens"
