"""When spending calls for attention: a threshold of a limit is passed, or will be the whole of it at the present pace, or the rest of
it is too little for what is asked.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from common.contracts.events import AlertKind
from common.contracts.periods import period_end

DEFAULT_PERCENTS = (50, 80, 100)
LEAST_ELAPSED_PERCENT = 10
LEAST_SPENT_PERCENT = 20
"""Earlier, or with less spent, the pace says nothing yet."""

LARGEST_PERCENT = 1_000


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent of a limit in a period of a time zone."""

    period: str
    time_zone: str
    unit: Literal["tokens", "nanousd"]
    limit: int
    spent: int


@dataclass(frozen=True, slots=True)
class Alert:
    """`threshold` is what makes it one of a kind; `percent` what is told: the threshold, the expected spend, or the spend."""

    kind: AlertKind
    spending: Spending
    threshold: int
    percent: int


def alerts_for(spending: Spending, percents: Sequence[int], now: datetime) -> Iterator[Alert]:
    """All that a state of spending calls for, whether it has been told before or not. A limit of 0 is passed by any spend."""
    for percent in percents or DEFAULT_PERCENTS:
        if spending.spent > 0 and spending.spent * 100 >= percent * spending.limit:
            yield Alert("threshold", spending, percent, percent)
    expected = expected_percent(spending, now)
    if expected is not None and expected > 100:
        yield Alert("forecast", spending, 100, min(expected, LARGEST_PERCENT))


def exhausted(spending: Spending, needed: Collection[int]) -> Alert | None:
    """Whether the budget is spent, to judge by how much the requests needed that it refused. It is not where what is left would have
    covered them, for then others only hold it; nor for a request that the whole limit would not cover.
    """
    left = spending.limit - spending.spent
    if not any(left <= 0 or left < need <= spending.limit for need in needed):
        return None
    percent = spending.spent * 100 // spending.limit if spending.limit else 100
    return Alert("exhausted", spending, 100, min(percent, LARGEST_PERCENT))


def expected_percent(spending: Spending, now: datetime) -> int | None:
    """What will be spent by the end of the period at its pace so far, in percent of the limit; None if it is too early to say."""
    begin = period_begin(spending.period, spending.time_zone)
    end = period_end(spending.period, spending.time_zone)
    elapsed, whole = (now - begin).total_seconds(), (end - begin).total_seconds()
    if not 0 < elapsed < whole or elapsed * 100 < LEAST_ELAPSED_PERCENT * whole:
        return None
    if spending.limit == 0 or spending.spent * 100 < LEAST_SPENT_PERCENT * spending.limit:
        return None
    return int(spending.spent * whole / elapsed * 100 / spending.limit)


def period_begin(period: str, time_zone: str) -> datetime:
    """The first moment of a day or month, in UTC."""
    day = period if len(period) == len("2026-11-23") else f"{period}-01"
    return datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(time_zone)).astimezone(UTC)
