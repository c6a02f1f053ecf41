"""When the owner of a key is told that it ends."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.reminders import milestone, reminders
from tests.unit.accounts.test_rotation import BEGIN, DAY, make_key

MOMENTS = st.integers(0, 365 * 24).map(lambda hours: BEGIN + timedelta(hours=hours))


@pytest.mark.parametrize(("days_left", "told"), [(15, None), (14, 14), (10, 14), (7, 7), (6.9, 7), (1.1, 7), (1, 1), (0.1, 1)])
def test_an_expiring_key_is_spoken_of_at_milestones(days_left: float, told: int | None):
    """14, 7 and 1 days before, and between them always of the latest one that was reached."""
    ends = BEGIN + 90 * DAY
    found = reminders(make_key(expires_at=ends), ends - timedelta(days=days_left))
    assert [(one.kind, one.days_before, one.at) for one in found] == ([("key_expires", told, ends)] if told else [])


def test_a_key_that_has_expired_is_not_spoken_of():
    """It is too late."""
    ends = BEGIN + 90 * DAY
    assert reminders(make_key(expires_at=ends), ends) == []


def test_a_key_to_be_rotated_is_spoken_of_on_its_due_date_too():
    """With the moment at which it stops; after a rotation the count begins anew."""
    key = make_key(rotate_days=90, overlap_seconds=3600)
    due = BEGIN + 90 * DAY
    for now, days in ((due - 14 * DAY, 14), (due - DAY, 1), (due, 0), (due + 9 * DAY, 0)):
        (found,) = reminders(key, now)
        assert (found.kind, found.days_before, found.at) == ("key_rotation_due", days, due)
        assert found.detail["stops_working_at"] == (due + timedelta(hours=1)).isoformat()
    assert reminders(make_key(rotate_days=90, rotated_at=due), due + DAY) == []


def test_a_key_that_expires_before_it_is_due_is_not_to_be_rotated():
    """One of the two is enough to know."""
    key = make_key(rotate_days=90, expires_at=BEGIN + 89 * DAY)
    assert [one.kind for one in reminders(key, BEGIN + 88 * DAY)] == ["key_expires"]


@pytest.mark.parametrize(
    ("life", "told"), [(timedelta(hours=1), set()), (5 * DAY, {1}), (10 * DAY, {1, 7}), (20 * DAY, {1, 7, 14})]
)
def test_a_short_life_was_meant_to_be_short(life: timedelta, told: set[int]):
    """Milestones that lie before a key's beginning are no news."""
    seen = {milestone(BEGIN, BEGIN + life, BEGIN + life * step / 200, (1, 7, 14)) for step in range(201)}
    assert seen - {None} == told


@given(begin=MOMENTS, end=MOMENTS, moments=st.lists(MOMENTS, max_size=20))
def test_milestones_are_passed_once_and_in_order(begin: datetime, end: datetime, moments: list[datetime]):
    """As time goes on a nearer milestone may follow, never a farther one: each occasion is an interval."""
    passed = [days for now in sorted(moments) if (days := milestone(begin, end, now, (0, 1, 7, 14))) is not None]
    assert passed == sorted(passed, reverse=True)


def test_an_occasion_is_the_same_whoever_asks():
    """Within one milestone; another end of the same key is another occasion."""
    ends = BEGIN + 90 * DAY
    key = make_key(expires_at=ends)
    first, again = (reminders(key, ends - timedelta(days=days))[0].occasion for days in (6.9, 1.1))
    assert first == again
    assert reminders(key, ends - DAY)[0].occasion != first
    assert reminders(make_key(expires_at=ends + DAY), ends + DAY - 7 * DAY)[0].occasion != first
