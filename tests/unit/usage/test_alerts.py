"""When alerts are raised: each threshold once it is passed, an overrun once it is to be expected."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage.domain.alerts import Spending, alerts_for, exhausted, expected_percent, period_begin
from usage.outbound.ledger_store import Standing
from usage.use_cases.counters import ALERTS_UNJUDGED
from usage.use_cases.raise_alerts import rows_of

MID_NOVEMBER = datetime(2026, 11, 16, tzinfo=UTC)


def spending(spent: int, limit: int = 1_000, period: str = "2026-11", time_zone: str = "UTC") -> Spending:
    return Spending(period, time_zone, "tokens", limit, spent)


@pytest.mark.parametrize(
    ("spent", "passed"),
    [(0, []), (499, []), (500, [50]), (799, [50]), (800, [50, 80]), (1_000, [50, 80, 100]), (3_000, [50, 80, 100])],
)
def test_thresholds_are_passed_at_their_part_of_the_limit(spent: int, passed: list[int]) -> None:
    """Without thresholds of its own, a scope has 50, 80 and 100 percent."""
    found = alerts_for(spending(spent), (), datetime(2026, 11, 1, tzinfo=UTC))
    assert [alert.percent for alert in found if alert.kind == "threshold"] == passed


@given(st.lists(st.integers(0, 500), max_size=20), st.lists(st.integers(1, 200), unique=True, min_size=1))
def test_each_passed_threshold_is_found_however_the_spend_is_cut_into_batches(batches: list[int], percents: list[int]) -> None:
    """Looking after every batch and keeping what is new finds what looking once at the end finds."""
    told: set[int] = set()
    total = 0
    for batch in batches:
        total += batch
        told |= {alert.threshold for alert in alerts_for(spending(total), percents, MID_NOVEMBER) if alert.kind == "threshold"}
    assert told == {percent for percent in percents if total > 0 and total * 100 >= percent * 1_000}


def test_an_overrun_is_foretold_from_the_pace() -> None:
    """Half of November is over: 600 of 1,000 become 1,200; 400 do not alarm."""
    (forecast,) = [alert for alert in alerts_for(spending(600), (), MID_NOVEMBER) if alert.kind == "forecast"]
    assert (forecast.threshold, forecast.percent) == (100, 120)
    assert expected_percent(spending(400), MID_NOVEMBER) == 80


@pytest.mark.parametrize(("spent", "day"), [(900, 2), (199, 4)])
def test_early_or_small_spend_foretells_nothing(spent: int, day: int) -> None:
    """In the first tenth of the period, or with less than a fifth of the limit spent, the pace is noise."""
    assert expected_percent(spending(spent), datetime(2026, 11, day, tzinfo=UTC)) is None


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-24", 24)])
def test_days_of_a_clock_change_are_shorter_or_longer(day: str, hours: int) -> None:
    """Half of the day's own hours after its beginning, twice the spend is expected."""
    begin = period_begin(day, "Europe/Berlin")
    middle = datetime.fromtimestamp(begin.timestamp() + hours * 1_800, UTC)
    assert expected_percent(spending(450, period=day, time_zone="Europe/Berlin"), middle) == 90


def test_a_limit_of_nothing_is_passed_by_any_spend() -> None:
    """And its forecast is none."""
    assert [alert.kind for alert in alerts_for(spending(1, limit=0), (100,), MID_NOVEMBER)] == ["threshold"]


@pytest.mark.parametrize(
    ("spent", "limit", "needed", "percent"),
    [
        (2_707, 3_000, [294], 90),
        (2_707, 3_000, [293], None),
        (2_707, 3_000, [], None),
        (2_707, 3_000, [0], None),
        (2_707, 3_000, [3_001], None),
        (2_707, 3_000, [0, 293, 3_000, 3_001], 90),
        (3_000, 3_000, [0], 100),
        (9_000, 100, [5_000], 1_000),
        (0, 0, [1], 100),
    ],
)
def test_a_budget_is_exhausted_when_the_rest_is_too_little(
    spent: int, limit: int, needed: list[int], percent: int | None
) -> None:
    """Not where others only hold it, nor by what is larger than the whole limit, nor by what is not told, unless nothing is left."""
    found = exhausted(spending(spent, limit), needed)
    assert (found.percent if found else None) == percent


@pytest.mark.parametrize(
    ("period", "time_zone"),
    [
        ("2026-11", "Nowhere/City"),
        ("2026-11", "Europe"),
        ("2026-11", "../etc"),
        ("0001-01-01", "Asia/Tokyo"),
        ("9999-12", "UTC"),
        ("never", "UTC"),
    ],
)
def test_a_pace_that_cannot_be_judged_costs_nobody_else_an_alert(period: str, time_zone: str) -> None:
    """An unknown zone or a period out of range is counted and left out; thresholds need neither."""
    before = ALERTS_UNJUDGED._value.get()
    told = [row for one in (standing(period, time_zone), standing()) for row in rows_of(one, MID_NOVEMBER)]
    assert [(row[1], row[9]) for row in told] == [("threshold", 50), ("threshold", 50), ("forecast", 120)]
    assert ALERTS_UNJUDGED._value.get() == before + 1


def standing(period: str = "2026-11", time_zone: str = "UTC") -> Standing:
    """600 of 1,000 tokens are spent."""
    known: dict[str, Any] = {"limit_version": 1, "organization_id": "o", "project_id": None, "alert_percents": [50]}
    return Standing("organization", "o", period, 600, 0, 1_000, None, time_zone=time_zone, **known)
