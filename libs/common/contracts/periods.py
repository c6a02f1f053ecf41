"""Budget periods: calendar days (`2026-11-23`) and months (`2026-11`) in an organization's time zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def period_day(at: datetime, time_zone: str) -> str:
    """The local calendar day of an aware moment."""
    return at.astimezone(ZoneInfo(time_zone)).date().isoformat()


def period_month(at: datetime, time_zone: str) -> str:
    """The local calendar month of an aware moment."""
    return period_day(at, time_zone)[:7]


def period_end(period: str, time_zone: str) -> datetime:
    """The first moment after a day or month period, in UTC."""
    zone = ZoneInfo(time_zone)
    if len(period) == len("2026-11"):
        year, month = int(period[:4]), int(period[5:])
        following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone)
    else:
        day = datetime.fromisoformat(period).date() + timedelta(days=1)
        following = datetime(day.year, day.month, day.day, tzinfo=zone)
    return following.astimezone(UTC)
