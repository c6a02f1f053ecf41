"""How long the day of a test still is."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.days import MARGIN, left_of_the_day


@pytest.mark.parametrize(
    ("now", "left"),
    [
        ("2026-11-26T23:59:59+00:00", timedelta(seconds=1)),
        ("2026-11-27T00:00:00+00:00", timedelta(days=1)),
        ("2026-12-31T23:57:00+00:00", MARGIN),
        ("2026-12-31T12:00:00+00:00", timedelta(hours=12)),
    ],
)
def test_what_is_left_of_the_day(now: str, left: timedelta) -> None:
    """To midnight UTC, not a day more at it."""
    assert left_of_the_day(datetime.fromisoformat(now).astimezone(UTC)) == left
