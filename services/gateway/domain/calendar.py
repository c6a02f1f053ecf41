"""Budget periods of a moment, remembered for the whole local day: a request pays two comparisons, not a conversion."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from common.contracts.periods import period_day, period_end

LONG_OVER_SECONDS = 2 * 86_400.0
"""More than any request takes, and than time zones differ."""

TRUSTED_SKEW_MS = 2_000
"""A clock further off than this is not trusted to say which day it is: the authority's is."""


@dataclass(frozen=True, slots=True)
class LocalDay:
    """A calendar day and its month in one time zone, from `begins_at` until `ends_at` (Unix milliseconds)."""

    day: str
    month: str
    begins_at: int
    ends_at: int
    zone: str = "UTC"


class Calendar:
    """Local days by time zone. Raises zoneinfo.ZoneInfoNotFoundError for an unknown zone."""

    def __init__(self) -> None:
        self._days: dict[str, LocalDay] = {}

    def day(self, time_zone: str, now_ms: int) -> LocalDay:
        """The local day of a moment. Clocks are set back, too: it may lie before the last one asked for."""
        known = self._days.get(time_zone)
        if known is not None and known.begins_at <= now_ms < known.ends_at:
            return known
        self._days[time_zone] = local = _local_day(time_zone, now_ms)
        return local


def _local_day(time_zone: str, now_ms: int) -> LocalDay:
    day = period_day(datetime.fromtimestamp(now_ms / 1000, UTC), time_zone)
    before = (date.fromisoformat(day) - timedelta(days=1)).isoformat()
    return LocalDay(day, day[:7], _end_ms(before, time_zone), _end_ms(day, time_zone), time_zone)


def _end_ms(day: str, time_zone: str) -> int:
    return int(period_end(day, time_zone).timestamp() * 1000)


def corrected(now_ms: int, skew_ms: int) -> int:
    """The moment by which days are told, where our clock says `now_ms`; `skew_ms`: the authority's clock minus ours."""
    return now_ms if -TRUSTED_SKEW_MS <= skew_ms <= TRUSTED_SKEW_MS else now_ms + skew_ms


def is_long_over(period: str, now: float) -> bool:
    """Whether a period has been over for two days (Unix seconds), by UTC: nothing more of it can be admitted in any time zone."""
    return period_end(period, "UTC").timestamp() + LONG_OVER_SECONDS <= now
