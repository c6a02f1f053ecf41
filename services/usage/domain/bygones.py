"""From when on nothing is decided on what is in the books any more, so that it may go."""

from datetime import date, timedelta

PERIOD_DAYS = 62
"""So long after its end a day's budget, or an end user's, is kept. Gateways forget a period two days after it, and what they report late
is expected within 35 days (keep_partitions.LATEST_DAYS_BACK). What comes later still is in the daily sums all the same, and in the
ledger until the next hour."""

CLOSED_BOOT_DAYS = 1
"""So long after it was last heard of, grants and shares of a closed boot are kept. They have counted nothing since it was closed, which is
for ever: asked or reported in its name, it is still known as closed."""

ALERT_DAYS = 400
"""So long alerts are listed: whoever compares with the year before still finds it."""


def periods_kept_from(today: date) -> tuple[str, str]:
    """The first day and the first month that are kept; a month as long as one of its days."""
    day = (today - timedelta(days=PERIOD_DAYS)).isoformat()
    return day, day[:7]
