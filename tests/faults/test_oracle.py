"""The oracle itself: on books that agree it is silent, and every way of breaking the law is seen."""

import copy
from collections.abc import Collection
from typing import Any

import pytest

from tests.faults.books import Books
from tests.faults.oracle import Evidence, judge
from tests.faults.spools import SpooledBoot

PROJECT, BOOT = "project", "boot"


def _attempt(number: int, source: str, prompt: int, completion: int, cost: int) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    return {"number": number, "model": "sim-fast-1", "usage": usage, "usage_source": source, "cost_nanousd": cost}


def _row(number: int, *attempts: dict[str, Any], status: str = "ok") -> dict[str, Any]:
    sources = {attempt["usage_source"] for attempt in attempts}
    prompt = sum(attempt["usage"]["prompt_tokens"] for attempt in attempts)
    completion = sum(attempt["usage"]["completion_tokens"] for attempt in attempts)
    return {
        "event_id": f"r{number}",
        "request_id": f"r{number}",
        "organization_id": "organization",
        "project_id": PROJECT,
        "boot_number": number,
        "status": status,
        "usage_source": "estimated" if "estimated" in sources else "provider" if "provider" in sources else "none",
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "cost_nanousd": sum(attempt["cost_nanousd"] for attempt in attempts),
        "hold_tokens": 1_000,
        "hold_nanousd": 1_000_000,
        "cost_verified": True,
        "cache": "bypass",
        "attempts": list(attempts),
    }


def _truth(request: int, attempt: int, prompt: int, generated: int) -> dict[str, Any]:
    found = {"request_id": f"r{request}", "attempt": attempt, "prompt_tokens": prompt, "generated": generated}
    return {**found, "outcome": "answered"}


def _evidence() -> Evidence:
    """Three requests: an answer, one that was refused and then retried, one whose gateway died."""
    answer = _attempt(1, "provider", 10, 20, 13_500)
    refused, retried = _attempt(1, "none", 0, 0, 0), _attempt(2, "provider", 10, 30, 19_500)
    aborted = _attempt(1, "estimated", 300, 50, 75_000)
    rows = [_row(1, answer), _row(2, refused, retried), _row(3, aborted, status="aborted")]
    sums = {"project_id": PROJECT, "period": "2026-11", "boot": BOOT, "spent_tokens": 420, "spent_nanousd": 108_000}
    ledger = {**sums, "row_tokens": 420, "row_nanousd": 108_000}
    project = {"scope": "project", "scope_id": PROJECT, "organization_id": "organization", "project_id": PROJECT}
    promised = {**project, "period": "2026-11", "limit_tokens": 500, "limit_nanousd": None, "tokens": 490, "nanousd": 108_000}
    boot = {"boot": BOOT, "received": "{[1,4)}", "contiguous": 3, "closed": False, "close_at": None}
    return Evidence(
        Books(
            rows,
            [],
            {"observed": 2, "measured": 2},
            [ledger],
            [dict(ledger)],
            [{**promised, "spent_tokens": 420, "spent_nanousd": 108_000}],
            [{**boot, "rows": 3, "numbers": 3, "highest": 3}],
        ),
        [_truth(1, 1, 10, 20), _truth(2, 1, 0, 0), _truth(2, 2, 10, 30), _truth(3, 1, 12, 7)],
        {"prompt_tokens": 32, "completion_tokens": 57},
        {BOOT: SpooledBoot(BOOT, started={"r1", "r2", "r3"}, ended={"r1", "r2", "r3"}, last=3)},
    )


def _broken(evidence: Evidence, answered: Collection[str] = ()) -> list[str]:
    return judge(evidence, answered=answered, limited={PROJECT: "tight"}).broken


def test_books_that_agree_are_left_alone() -> None:
    """Equal where the usage was received, between bill and hold where it was not; the excess is that of the flagged attempt."""
    verdict = judge(_evidence(), answered={"r1", "r2"}, limited={PROJECT: "tight"})
    assert not verdict.broken
    assert verdict.tallies["estimated: aborted"].difference == 331
    assert "Σ ledger 420 − Σ provider 89 = 331; of flagged attempts 331" in verdict.table()


def _lose_a_row(it: Evidence) -> None:
    del it.books.requests[0]


def _double_a_row(it: Evidence) -> None:
    it.books.requests.append(copy.deepcopy(it.books.requests[0]))


def _lose_an_attempt(it: Evidence) -> None:
    del it.books.requests[1]["attempts"][1]


def _book_more(it: Evidence) -> None:
    it.books.requests[0]["attempts"][0]["usage"]["completion_tokens"] += 1


def _book_less(it: Evidence) -> None:
    it.truths[3]["generated"] = 51


def _book_beyond_the_hold(it: Evidence) -> None:
    it.books.requests[2]["hold_tokens"] = 349


def _invent_an_answer(it: Evidence) -> None:
    del it.truths[0]


def _book_a_bill_as_free(it: Evidence) -> None:
    it.truths[1]["prompt_tokens"] = 10


def _call_twice(it: Evidence) -> None:
    it.truths.append(dict(it.truths[0]))


def _price_wrongly(it: Evidence) -> None:
    it.books.requests[0]["attempts"][0]["cost_nanousd"] = it.books.requests[0]["cost_nanousd"] = 1


def _forget_the_flag(it: Evidence) -> None:
    it.books.requests[2]["usage_source"] = "provider"


def _aggregate_wrongly(it: Evidence) -> None:
    it.books.daily_differences.append({"day": "", "project_id": "", "model": "", "aggregated": [1], "summed": [2]})


def _book_durations_twice(it: Evidence) -> None:
    it.books.durations["observed"] = 3


def _spend_without_rows(it: Evidence) -> None:
    it.books.ledger[0]["spent_tokens"] += 1


def _leave_a_gap(it: Evidence) -> None:
    it.books.boots[0].update(received="{[1,2),[3,4)}", contiguous=1)


def _close_too_early(it: Evidence) -> None:
    it.books.boots[0]["close_at"] = 2


def _promise_too_much(it: Evidence) -> None:
    it.books.obligations[0]["tokens"] = 501


def _overspend(it: Evidence) -> None:
    it.books.obligations[0]["limit_tokens"] = 419


def _spend_ungranted(it: Evidence) -> None:
    it.books.obligations.clear()


def _leave_a_start(it: Evidence) -> None:
    it.spools[BOOT].started.add("r4")


def _leave_an_end(it: Evidence) -> None:
    it.spools[BOOT].ended.add("r4")


def _damage_the_spool(it: Evidence) -> None:
    it.spools[BOOT].damaged = 1


@pytest.mark.parametrize(
    "tamper",
    [
        _lose_a_row,
        _double_a_row,
        _lose_an_attempt,
        _book_more,
        _book_less,
        _book_beyond_the_hold,
        _invent_an_answer,
        _book_a_bill_as_free,
        _call_twice,
        _price_wrongly,
        _forget_the_flag,
        _aggregate_wrongly,
        _book_durations_twice,
        _spend_without_rows,
        _leave_a_gap,
        _close_too_early,
        _promise_too_much,
        _overspend,
        _spend_ungranted,
        _leave_a_start,
        _leave_an_end,
        _damage_the_spool,
    ],
)
def test_every_breach_is_seen(tamper: Any) -> None:
    """Whatever is changed in evidence that agrees, the oracle says so."""
    evidence = _evidence()
    tamper(evidence)
    assert _broken(evidence)


def test_an_answer_without_a_row_is_seen() -> None:
    """A client that holds a whole answer is a witness of its own."""
    assert _broken(_evidence(), {"r1", "r9"})
