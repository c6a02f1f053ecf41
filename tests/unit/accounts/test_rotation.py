"""Rotation as a law, over any order of rotating, rescheduling, waiting: two secrets at most, and no secret lives twice."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.objects import Key, milliseconds
from accounts.domain.rotation import due_at, old_secret_until, overlap_ended, rotated, scheduled, stops_at
from common.contracts.directory import KeySecret

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def make_key(**changes: object) -> Key:
    plain = Key(
        id="k",
        project_id="p",
        organization_id="o",
        lookup="l",
        hint="h",
        name="K",
        label="live",
        status="active",
        secrets=(secret(0),),
        models=None,
        tags={},
        expires_at=None,
        created_by="u",
        revoked_at=None,
        version=1,
        created_at=BEGIN,
        updated_at=BEGIN,
    )
    return msgspec.structs.replace(plain, **changes)


def secret(number: int) -> KeySecret:
    return KeySecret(pepper_version=1, digest=str(number))


def living(key: Key, now: datetime) -> set[str]:
    """The secrets that a gateway takes at that moment."""
    return {one.digest for one in key.secrets if one.not_after is None or milliseconds(now) < one.not_after}


def test_the_old_secret_lives_for_the_overlap():
    """Both are good during it, the new one alone afterwards."""
    key = rotated(make_key(), secret(1), 3600, BEGIN + DAY)
    assert [one.digest for one in key.secrets] == ["1", "0"]
    assert old_secret_until(key, BEGIN + DAY) == BEGIN + DAY + timedelta(hours=1)
    assert living(key, BEGIN + DAY + timedelta(minutes=59)) == {"0", "1"}
    assert living(key, BEGIN + DAY + timedelta(hours=1)) == {"1"}
    assert old_secret_until(key, BEGIN + DAY + timedelta(hours=1)) is None


def test_without_an_overlap_the_old_secret_is_gone():
    """It is not even announced any more."""
    assert [one.digest for one in rotated(make_key(), secret(1), 0, BEGIN).secrets] == ["1"]


def test_rotating_again_replaces_the_older_old_secret():
    """At most two live; the first of three is dead at once."""
    key = rotated(rotated(make_key(), secret(1), 3600, BEGIN), secret(2), 3600, BEGIN)
    assert living(key, BEGIN) == {"1", "2"}


def test_ending_the_overlap_leaves_the_newest():
    """Alone, and as it was."""
    key = rotated(make_key(), secret(1), 3600, BEGIN)
    assert overlap_ended(key).secrets == key.secrets[:1]


@pytest.mark.parametrize(("hours_before", "announced"), [(25, False), (24, True), (1, True)])
def test_a_deadline_is_announced_a_day_before_the_key_is_due(hours_before: int, announced: bool):
    """Not sooner: a key without any is quicker to check. The deadline is the due date and the overlap."""
    key = make_key(rotate_days=30, overlap_seconds=7200)
    assert due_at(key) == BEGIN + 30 * DAY
    after = scheduled(key, BEGIN + 30 * DAY - timedelta(hours=hours_before))
    stops = BEGIN + 30 * DAY + timedelta(hours=2)
    assert stops_at(key) == stops
    assert after.secrets[0].not_after == (milliseconds(stops) if announced else None)


def test_a_longer_schedule_takes_the_deadline_back_while_the_secret_lives():
    """Once it has died, nothing but a rotation makes the key work again."""
    key = scheduled(make_key(rotate_days=30, overlap_seconds=0), BEGIN + 30 * DAY - timedelta(hours=1))
    assert key.secrets[0].not_after is not None
    relaxed = msgspec.structs.replace(key, rotate_days=None)
    assert scheduled(relaxed, BEGIN + 30 * DAY - timedelta(minutes=1)).secrets[0].not_after is None
    dead = scheduled(relaxed, BEGIN + 30 * DAY)
    assert living(dead, BEGIN + 30 * DAY) == set()
    assert living(rotated(dead, secret(1), 3600, BEGIN + 31 * DAY), BEGIN + 31 * DAY) == {"1"}


STEPS = st.lists(
    st.tuples(
        st.integers(0, 5 * 86_400),
        st.sampled_from(["rotate", "end", "tick", "plan", "no plan"]),
        st.sampled_from([0, 60, 86_400, 30 * 86_400]),
        st.integers(1, 10),
    ),
    max_size=20,
)


@given(STEPS)
def test_whatever_happens_two_live_at_most_and_the_dead_stay_dead(steps: list[tuple[int, str, int, int]]):
    """A secret that a gateway would refuse once is never taken again; the newest is never forgotten; asking twice is asking once."""
    key, now, dead, newest = make_key(), BEGIN, set[str](), 0
    for wait, act, overlap, days in steps:
        now += timedelta(seconds=wait)
        dead |= {str(number) for number in range(newest + 1)} - living(key, now)
        if act == "rotate":
            newest += 1
            key = rotated(key, secret(newest), overlap, now)
        elif act == "end":
            key = overlap_ended(key)
        else:
            rotate_days = days if act == "plan" else None if act == "no plan" else key.rotate_days
            key = scheduled(msgspec.structs.replace(key, rotate_days=rotate_days, overlap_seconds=overlap), now)
            assert scheduled(key, now) == key
        assert len(key.secrets) <= 2
        assert key.secrets[0].digest == str(newest)
        assert not living(key, now) & dead
        if act == "rotate":
            assert str(newest) in living(key, now)
