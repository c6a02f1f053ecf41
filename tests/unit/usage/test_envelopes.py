"""Envelopes taken apart: bad events alone are parked, the numbers that came are receipted, costs are checked against the book."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.events import Attempt, RequestSettled, Usage
from common.contracts.identifiers import uuid7
from common.contracts.prices import built_in_book
from tests.integration.usage.gateway_side import envelope_headers, make_event
from usage.domain.envelopes import Envelope, open_envelope
from usage.domain.receipts import Receipt
from usage.domain.settled_rows import cost_agrees

BOOK = built_in_book()
BOOT, PROJECT = uuid7(), uuid7()


def opened(body: bytes, first: int = 1, last: int = 1) -> Envelope:
    return open_envelope(body, envelope_headers(BOOT, first, last), BOOK)


def test_good_events_are_numbered_from_the_header() -> None:
    """Position plus `from` is the number."""
    events = [make_event(PROJECT, BOOT) for _ in range(3)]
    found = opened(msgspec.json.encode(events), 7, 9)
    assert [row.number for row in found.rows] == [7, 8, 9]
    assert found.parked is None
    assert found.receipt == Receipt(BOOT, "g1", 7, 9)


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": "not-a-uuid"},
        {"period_day": "2026-02-30"},
        {"period_day": "2026-11-03", "period_month": "2026-12"},
        {"prompt_tokens": -1},
        {"cost_nanousd": 2**60},
        {"organization_id": "a.b c"},
        {"boot": "another"},
    ],
)
def test_a_bad_event_is_parked_without_its_neighbours(changes: dict[str, object]) -> None:
    """The others are booked, all numbers count as received, the reason names the position."""
    events = [make_event(PROJECT, BOOT), msgspec.structs.replace(make_event(PROJECT, BOOT), **changes), make_event(PROJECT, BOOT)]
    found = opened(msgspec.json.encode(events), 1, 3)
    assert [row.number for row in found.rows] == [1, 3]
    assert found.parked is not None
    assert found.parked.reason.startswith("[1]")
    assert len(msgspec.json.decode(found.parked.body)) == 1
    assert found.receipt == Receipt(BOOT, "g1", 1, 3)


def test_an_event_of_another_shape_is_parked_alone() -> None:
    """A field of the wrong type, in the middle of good ones."""
    good = msgspec.json.encode(make_event(PROJECT, BOOT))
    found = opened(b"[" + good + b',{"event_id": 5},' + good + b"]", 1, 3)
    assert [row.number for row in found.rows] == [1, 3]
    assert found.parked is not None


@given(st.binary(max_size=60))
def test_no_body_raises(body: bytes) -> None:
    """Whatever comes is booked or parked."""
    found = opened(body)
    assert found.parked is not None or body.strip() == b"[]"


@given(st.dictionaries(st.sampled_from([*envelope_headers("b", 1, 1, close=1), "Other"]), st.text(max_size=25)))
def test_no_headers_raise(headers: dict[str, str]) -> None:
    """Headers that say nothing reliable give no receipt, and the body is parked."""
    found = open_envelope(b"[]", headers, BOOK)
    assert (found.receipt is None) == (found.parked is not None and found.parked.reason.startswith("header"))


def test_only_what_came_is_receipted() -> None:
    """Headers that promise more than the body holds do not acknowledge the rest."""
    found = opened(msgspec.json.encode([make_event(PROJECT, BOOT)]), 1, 50)
    assert found.receipt == Receipt(BOOT, "g1", 1, 1)
    assert found.mismatched
    assert not opened(msgspec.json.encode([make_event(PROJECT, BOOT)])).mismatched


def test_a_nul_character_does_not_make_an_event_bad() -> None:
    """Clients may send what the database cannot store; their money counts."""
    found = opened(msgspec.json.encode([make_event(PROJECT, BOOT, end_user="a\0b")]))
    assert found.rows[0].event.end_user == "a\ufffdb"


def priced(cost: int, *, version: str = BOOK.version, **changes: object) -> RequestSettled:
    usage = Usage(prompt_tokens=1_000, completion_tokens=1_000)
    attempt = Attempt(
        number=1,
        upstream="u",
        model="sim-fast-1",
        outcome="ok",
        usage=usage,
        usage_source="provider",
        cost_nanousd=cost,
        cost_status="exact",
    )
    return make_event(
        PROJECT, BOOT, attempts=(msgspec.structs.replace(attempt, **changes),), cost_nanousd=cost, price_version=version
    )


def test_costs_are_checked_against_the_same_version() -> None:
    """Agreement, disagreement, and what cannot be told: another version, or an estimate."""
    price = BOOK.find("sim-fast-1")
    assert price is not None
    right = price.cost(Usage(prompt_tokens=1_000, completion_tokens=1_000))
    assert cost_agrees(priced(right), BOOK) is True
    assert cost_agrees(priced(right + 1), BOOK) is False
    assert cost_agrees(priced(right + 1, version="1999-01-01"), BOOK) is None
    assert cost_agrees(priced(right + 1, cost_status="estimated"), BOOK) is None
    assert cost_agrees(msgspec.structs.replace(priced(right), cost_nanousd=1), BOOK) is False


@pytest.mark.parametrize(
    ("user", "stored"),
    [("a\0b", "a\ufffdb"), ("\0\0", "\ufffd\ufffd"), (r"a\u0000b", r"a\u0000b"), ("\\\0", "\\\ufffd"), (r"\\u0000", r"\\u0000")],
)
def test_nul_and_nothing_else_is_replaced(user: str, stored: str) -> None:
    """The database keeps no NUL; a backslash before the same characters is just text."""
    (row,) = opened(msgspec.json.encode([make_event(PROJECT, BOOT, end_user=user)])).rows
    assert row.event.end_user == stored
