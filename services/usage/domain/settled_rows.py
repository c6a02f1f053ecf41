"""From a reported request to the row that is stored: what makes an event provably bad, and whether its cost agrees with the book."""

import re
from datetime import date

import msgspec

from common.contracts.events import Attempt, RequestSettled
from common.contracts.prices import PriceBook
from usage.domain.quantiles import bucket_of
from usage.domain.receipts import NAME

BIGGEST = 2**53
_EVENT_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_COUNTS = (
    "prompt_tokens",
    "completion_tokens",
    "cached_prompt_tokens",
    "reasoning_tokens",
    "cost_nanousd",
    "hold_tokens",
    "hold_nanousd",
    "saved_tokens",
    "saved_nanousd",
    "latency_us",
    "admitted_at",
    "finished_at",
)
_NAMES = ("organization_id", "project_id", "key_id", "boot")
NOT_MEASURED = frozenset({"refused", "aborted"})
"""Statuses whose duration says nothing about how fast answers come."""


class BadEvent(ValueError):
    """The event can never be booked; the message names the field."""


class SettledRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row for the store: the event, its number within its boot, and what is derived from it."""

    event: RequestSettled
    number: int
    verified: bool | None = None
    latency_bucket: int | None = None
    ttft_bucket: int | None = None


def row_of(event: RequestSettled, number: int, book: PriceBook) -> SettledRow:
    """The row of an event; raises BadEvent when it can never be booked."""
    _check(event)
    measured = event.status not in NOT_MEASURED
    return SettledRow(
        event=event,
        number=number,
        verified=cost_agrees(event, book),
        latency_bucket=bucket_of(event.latency_us) if measured else None,
        ttft_bucket=bucket_of(event.ttft_us) if measured and event.ttft_us is not None else None,
    )


def cost_agrees(event: RequestSettled, book: PriceBook) -> bool | None:
    """Whether the stamped cost is what this book says; None when it cannot be told (another version, estimates, no price)."""
    if event.price_version != book.version:
        return None
    known = [agreed for attempt in event.attempts if (agreed := _attempt_agrees(attempt, book)) is not None]
    if event.cost_nanousd != sum(attempt.cost_nanousd for attempt in event.attempts):
        return False
    return all(known) if known else None


def _attempt_agrees(attempt: Attempt, book: PriceBook) -> bool | None:
    price = book.find(attempt.price or attempt.model)
    if attempt.cost_status != "exact" or attempt.usage_source != "provider" or price is None:
        return None
    return attempt.cost_nanousd == price.cost(attempt.usage)


def _check(event: RequestSettled) -> None:
    if not _EVENT_ID.fullmatch(event.event_id):
        raise BadEvent("event_id")
    for name in _NAMES:
        if not NAME.fullmatch(getattr(event, name)):
            raise BadEvent(name)
    for name in _COUNTS:
        if not 0 <= getattr(event, name) <= BIGGEST:
            raise BadEvent(name)
    for name in ("ttft_us", "upstream_cost_nanousd"):
        if not 0 <= (getattr(event, name) or 0) <= BIGGEST:
            raise BadEvent(name)
    if not 0 <= event.http_status <= 999:
        raise BadEvent("http_status")
    try:
        day = date.fromisoformat(event.period_day)
    except ValueError:
        raise BadEvent("period_day") from None
    if day.isoformat() != event.period_day or event.period_month != event.period_day[:7]:
        raise BadEvent("period_month")
