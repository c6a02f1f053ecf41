"""The day of a test, UTC. A test that reads the clock twice may rely on both being of one day: none begins just before midnight."""

import time
from datetime import UTC, date, datetime, timedelta

# The longest test of the check takes less.
MARGIN = timedelta(minutes=3)


def today() -> date:
    return datetime.now(UTC).date()


def this_day() -> str:
    """As the books name it: `2026-11-27`."""
    return today().isoformat()


def this_month() -> str:
    """As the books name it: `2026-11`."""
    return this_day()[:7]


def left_of_the_day(now: datetime) -> timedelta:
    """From this moment, UTC, to the next midnight."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - now


def wait_for_a_whole_test() -> None:
    """When the day is about to end, wait until the next has begun."""
    left = left_of_the_day(datetime.now(UTC))
    if left < MARGIN:
        time.sleep(left.total_seconds() + 0.01)
