"""Budget periods of a moment, remembered until the local day ends: a request pays a comparison, not a conversion."""

from dataclasses import dataclass
from datetime import UTC, datetime

from common.contracts.periods import period_day, period_end

LONG_OVER_SECONDS = 2 * 86_400.0
"""More than any request takes, and than time zones differ."""


@dataclass(frozen=True, slots=True)
class LocalDay:
    """A calendar day and its month in one time zone, valid until `ends_at` (Unix milliseconds)."""

    day: str
    month: str
    ends_at: int
    zone: str = "UTC"


class Calendar:
    """Local days by time zone. Raises zoneinfo.ZoneInfoNotFoundError for an unknown zone."""

    def __init__(self) -> None:
        self._days: dict[str, LocalDay] = {}

    def day(self, time_zone: str, now_ms: int) -> LocalDay:
        """The local day of a moment that never lies much before the last one asked for."""
        known = self._days.get(time_zone)
        if known is not None and now_ms < known.ends_at:
            return known
        day = period_day(datetime.fromtimestamp(now_ms / 1000, UTC), time_zone)
        ends_at = int(period_end(day, time_zone).timestamp() * 1000)
        self._days[time_zone] = local = LocalDay(day, day[:7], ends_at, time_zone)
        return local


def is_long_over(period: str, now: float) -> bool:
    """Whether a period has been over for two days (Unix seconds), by UTC: nothing more of it can be admitted in any time zone."""
    return period_end(period, "UTC").timestamp() + LONG_OVER_SECONDS <= now
