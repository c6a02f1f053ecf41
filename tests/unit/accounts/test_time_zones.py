"""A change of time zone: counted from the first month that has begun in both, so that no day or month comes twice or loses anything."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.time_zones import changed_time_zone
from common.contracts.directory import OrganizationRecord
from common.contracts.periods import period_day

ZONES = ("UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Tokyo", "Pacific/Kiritimati", "Asia/Kathmandu")
"""None two of them a day or more apart: there a day would come twice, whenever one changes."""


def record_of(**fields: object) -> OrganizationRecord:
    begins = fields.pop("time_zone_from")
    return OrganizationRecord(
        organization_id="o",
        version=1,
        status="active",
        time_zone_from=int(begins.timestamp() * 1000) if isinstance(begins, datetime) else 0,
        **fields,  # type: ignore[arg-type] # the other two
    )


@pytest.mark.parametrize(
    ("counting", "wanted", "now", "begins"),
    [
        ("UTC", "Asia/Tokyo", "2026-11-10T12:00", "2026-12-01T00:00"),
        ("Asia/Tokyo", "UTC", "2026-11-10T12:00", "2026-12-01T00:00"),
        ("UTC", "America/Los_Angeles", "2026-11-10T12:00", "2026-12-01T08:00"),
        ("Asia/Tokyo", "UTC", "2026-11-30T20:00", "2027-01-01T00:00"),
        ("UTC", "Asia/Tokyo", "2026-11-30T20:00", "2026-12-01T00:00"),
        ("Europe/Berlin", "UTC", "2026-12-10T12:00", "2027-01-01T00:00"),
    ],
)
def test_it_counts_from_the_next_month_of_both(counting: str, wanted: str, now: str, begins: str) -> None:
    """Whichever of the two begins it later; the month that is under way in the old zone goes on to its end."""
    found = changed_time_zone(counting, wanted, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found == {
        "time_zone": wanted,
        "earlier_time_zone": counting,
        "time_zone_from": datetime.fromisoformat(begins).replace(tzinfo=UTC),
    }


def test_the_zone_that_counts_already_is_no_change() -> None:
    """Also when another one was to come: it is called off."""
    now = datetime(2026, 11, 10, tzinfo=UTC)
    assert changed_time_zone("UTC", "UTC", now) == {"time_zone": "UTC", "earlier_time_zone": None, "time_zone_from": None}


@given(
    st.sampled_from(ZONES),
    st.sampled_from(ZONES),
    st.integers(0, 2 * 365 * 24 * 60).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)),
)
def test_days_never_go_back_and_the_month_under_way_ends_in_its_own_zone(counting: str, wanted: str, now: datetime) -> None:
    """Looked at every twenty minutes across the change: each day follows the one before, or is the same."""
    record = record_of(**changed_time_zone(counting, wanted, now))

    def day_at(moment: datetime) -> str:
        return period_day(moment, record.zone_at(int(moment.timestamp() * 1000)))

    assert day_at(now) == period_day(now, counting)
    begins = datetime.fromtimestamp(record.time_zone_from / 1000, UTC) if record.time_zone_from else now
    moment, before = begins - timedelta(hours=30), ""
    while moment < begins + timedelta(hours=30):
        day = day_at(moment)
        assert day >= before
        before, moment = day, moment + timedelta(minutes=20)
    if record.time_zone_from:
        assert day_at(begins)[8:] == "01"
