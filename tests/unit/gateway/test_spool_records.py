"""What a request is charged when its gateway dies."""

from gateway.outbound.event_spool.records import aborted, shortened
from tests.unit.gateway.spool_makers import make_attempt, make_end, make_start


def test_an_aborted_request_is_charged_at_its_hold() -> None:
    """One attempt of unknown fate: tokens and money of the hold, flagged, with the attempt listed."""
    event = aborted(make_start("e", prompt=3, completion=40, nanousd=99), [], gateway="g", boot="b", at=1_795_000_002_000)
    assert (event.status, event.usage_source, event.cost_status) == ("aborted", "estimated", "estimated")
    assert (event.prompt_tokens, event.completion_tokens, event.cost_nanousd) == (3, 40, 99)
    assert (event.hold_tokens, event.hold_nanousd, event.latency_us) == (43, 99, 2_000_000)
    assert [(attempt.number, attempt.outcome) for attempt in event.attempts] == [(1, "unknown")]


def test_every_attempt_of_unknown_fate_is_charged() -> None:
    """A retry after a timeout: both holds count, and the first attempt keeps its outcome."""
    event = aborted(make_start("e"), [make_attempt("e")], gateway="g", boot="b", at=0)
    assert (event.prompt_tokens, event.completion_tokens, event.cost_nanousd) == (20, 200, 10_000)
    assert [(attempt.outcome, attempt.cost_nanousd) for attempt in event.attempts] == [("timeout", 5_000), ("unknown", 5_000)]
    assert event.model == "sim-fast-2"


def test_an_attempt_that_charged_nothing_is_not_charged() -> None:
    """A retry after a refusal: only the attempt that may have been billed counts."""
    event = aborted(make_start("e"), [make_attempt("e", previous_unbilled=True)], gateway="g", boot="b", at=0)
    assert (event.cost_nanousd, event.hold_tokens) == (5_000, 110)
    assert [attempt.usage_source for attempt in event.attempts] == ["none", "estimated"]


def test_shortening_changes_nothing_that_is_counted() -> None:
    """Long texts of clients are cut; money, tokens and identities stay."""
    long = make_end("e", tags={"t": "x" * 100_000})
    short = shortened(long)
    assert (short.event_id, short.cost_nanousd, short.prompt_tokens, short.tags) == ("e", 42, 7, {})
