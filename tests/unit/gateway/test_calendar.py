"""Which day and month a request counts in: the organization's calendar, also where its clocks change and months end."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from common.contracts.directory import KeyRecord, Limits, OrganizationRecord, ProjectRecord
from common.contracts.periods import period_end
from gateway.domain.budget import Hold
from gateway.domain.calendar import TRUSTED_SKEW_MS, Calendar, corrected
from gateway.domain.caller import Caller, join
from gateway.outbound.grants import Grants
from gateway.use_cases.take_hold import EARLY_MS, TakeHold

DAY = 86_400_000
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati", "Australia/Lord_Howe")


def ms(text: str) -> int:
    """Unix milliseconds of a moment in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("zone", "at", "day"),
    [
        ("UTC", "2026-11-30T23:59:59.999", "2026-11-30"),
        ("UTC", "2026-12-01T00:00:00", "2026-12-01"),
        ("Europe/Berlin", "2026-11-30T22:59:59", "2026-11-30"),
        ("Europe/Berlin", "2026-11-30T23:00:00", "2026-12-01"),
        ("Europe/Berlin", "2026-03-28T22:59:59", "2026-03-28"),
        ("Europe/Berlin", "2026-03-28T23:00:00", "2026-03-29"),
        ("Europe/Berlin", "2026-03-29T21:59:59", "2026-03-29"),
        ("Europe/Berlin", "2026-03-29T22:00:00", "2026-03-30"),
        ("America/New_York", "2026-11-01T03:59:59", "2026-10-31"),
        ("America/New_York", "2026-11-01T04:00:00", "2026-11-01"),
        ("America/New_York", "2026-11-02T04:59:59", "2026-11-01"),
        ("America/New_York", "2026-11-02T05:00:00", "2026-11-02"),
        ("Asia/Kathmandu", "2026-12-31T18:15:00", "2027-01-01"),
        ("Pacific/Kiritimati", "2026-11-30T10:00:00", "2026-12-01"),
    ],
)
def test_a_moment_counts_in_the_day_of_its_zone(zone: str, at: str, day: str) -> None:
    """Days of 23 and 25 hours included; the month is that of the day."""
    found = Calendar().day(zone, ms(at))
    assert (found.day, found.month) == (day, day[:7])


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [("Europe/Berlin", "2026-03-29", 23), ("Europe/Berlin", "2026-10-25", 25), ("UTC", "2026-10-25", 24)],
)
def test_a_day_lasts_as_long_as_its_clocks_say(zone: str, day: str, hours: int) -> None:
    """Where clocks change in the night, the day has an hour less or more, and every moment of it belongs to it."""
    before = (datetime.fromisoformat(day) - timedelta(days=1)).date().isoformat()
    begin, end = period_end(before, zone), period_end(day, zone)
    assert end - begin == timedelta(hours=hours)
    calendar = Calendar()
    moment = begin
    while moment < end:
        assert calendar.day(zone, int(moment.timestamp() * 1000)).day == day
        moment += timedelta(minutes=30)
    assert calendar.day(zone, int(end.timestamp() * 1000)).day > day


def test_what_is_remembered_ends_with_the_day() -> None:
    """The same day is not worked out twice, and not one request too long."""
    calendar = Calendar()
    first = calendar.day("UTC", ms("2026-11-30T12:00:00"))
    assert calendar.day("UTC", ms("2026-11-30T23:59:59.999")) is first
    assert calendar.day("UTC", first.ends_at).month == "2026-12"


@given(st.sampled_from(ZONES), st.integers(ms("2026-01-01"), ms("2028-01-01")), st.lists(st.integers(-DAY, DAY), max_size=5))
def test_a_moment_counts_the_same_whatever_was_asked_before(zone: str, at: int, steps: list[int]) -> None:
    """Also one before the day that is remembered: a clock that was ahead and is set right tells the old month again."""
    calendar = Calendar()
    for step in (0, *steps):
        found = calendar.day(zone, at + step)
        assert found == Calendar().day(zone, at + step)
        assert found.begins_at <= at + step < found.ends_at


@pytest.mark.parametrize("ahead_ms", [TRUSTED_SKEW_MS + 1, 30_000])
def test_the_last_seconds_of_a_month_by_a_clock_that_is_ahead(ahead_ms: int) -> None:
    """Corrected they count in the month that is ending, though the same calendar has been asked by the wrong clock before."""
    calendar, end = Calendar(), ms("2026-12-01T00:00:00")
    wrong = end - 1 + ahead_ms
    assert calendar.day("UTC", wrong).month == "2026-12"
    assert calendar.day("UTC", corrected(wrong, -ahead_ms)).month == "2026-11"
    assert calendar.day("UTC", corrected(wrong + 1, -ahead_ms)).month == "2026-12"


def test_another_time_zone_counts_from_its_moment_on() -> None:
    """A gateway goes by the organization's record, to the millisecond."""
    begins = ms("2026-12-01T08:00:00")
    record = OrganizationRecord(
        organization_id="o",
        version=1,
        status="active",
        time_zone="America/Los_Angeles",
        earlier_time_zone="UTC",
        time_zone_from=begins,
    )
    calendar = Calendar()
    days = [
        calendar.day(record.zone_at(at), at)
        for at in (ms("2026-11-30T23:59:59"), ms("2026-12-01T00:00:00"), begins - 1, begins, ms("2026-12-02T07:59:59"))
    ]
    assert [day.day for day in days] == ["2026-11-30", *["2026-12-01"] * 4]
    assert [day.zone for day in days[2:4]] == ["UTC", "America/Los_Angeles"]
    assert days[3].ends_at == ms("2026-12-02T08:00:00")


def make_caller() -> Caller:
    organization = OrganizationRecord(organization_id="o", version=1, status="active", time_zone="Europe/Berlin")
    project = ProjectRecord(
        project_id="p",
        organization_id="o",
        version=1,
        status="active",
        limits=Limits(version=1, monthly_tokens=10**9, daily_tokens=10**8),
    )
    key = KeyRecord(
        key_id="k", lookup="l", project_id="p", organization_id="o", version=1, status="active", secrets=(), expires_at=None
    )
    return join(key, project, organization, None)


async def test_minutes_before_a_month_ends_the_next_one_is_asked_for() -> None:
    """Once; a request of the new month finds its account, and one of the old month is settled in the old one."""
    grants = Grants(Client(), gateway="g", boot="b", expected=(100, 0))
    take_hold = TakeHold(grants, Calendar())
    caller = make_caller()
    end = ms("2026-11-30T23:00:00")  # midnight in Berlin
    old = take_hold.standing(caller, take_hold.calendar.day("Europe/Berlin", end - EARLY_MS - 1), None)
    take_hold.prepare_next_day(old, end - EARLY_MS - 1)
    assert ("project", "p", "2026-12") not in grants.accounts
    take_hold.prepare_next_day(old, end - EARLY_MS)
    assert {("project", "p", "2026-12"), ("project", "p", "2026-12-01")} <= grants.accounts.keys()
    grants.accounts["project", "p", "2026-11"].granted_tokens = 1_000
    grants.accounts["project", "p", "2026-11-30"].granted_tokens = 1_000

    hold = Hold(old.accounts, old.binding)
    assert take_hold.take_now(hold, old, 100, 0)
    new = take_hold.standing(caller, take_hold.calendar.day("Europe/Berlin", end), None)
    assert new.day.month == "2026-12"
    assert take_hold.standing(caller, take_hold.calendar.day("Europe/Berlin", end + 1), None) is new
    hold.settle(60, 0)
    assert grants.accounts["project", "p", "2026-11"].settled_tokens == 60
    assert grants.accounts["project", "p", "2026-12"].settled_tokens == 0
