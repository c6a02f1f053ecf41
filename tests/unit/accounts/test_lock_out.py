"""The rule that slows guessing down."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.lock_out import (
    FAMILIAR_FAILURES,
    FREE_FAILURES,
    LONGEST,
    MOST_IN_A_WINDOW,
    WINDOW,
    Tally,
    failed_anywhere,
    failed_here,
    wait_before_attempt,
)

START = datetime(2027, 1, 1, tzinfo=UTC)
NOTHING = timedelta(0)
HOME = "home"
PLACES = st.sampled_from([HOME, "a", "b", "c", "d"])
PAUSES = st.one_of(
    st.just(NOTHING),
    st.timedeltas(NOTHING, timedelta(minutes=1)),
    st.timedeltas(NOTHING, timedelta(minutes=20)),
    st.timedeltas(NOTHING, timedelta(days=2)),
)
TRIES = st.lists(st.tuples(PLACES, PAUSES), max_size=150)


@dataclass
class Guessing:
    """Wrong passwords for one email, from the addresses that the rule lets try."""

    now: datetime = START
    here: dict[str, Tally] = field(default_factory=dict)
    everywhere: Tally = field(default_factory=lambda: Tally(0, START, START))
    tried: list[tuple[str, datetime]] = field(default_factory=list)

    def wait(self, place: str) -> timedelta:
        here = self.here.get(place, Tally(0, self.now, self.now))
        return wait_before_attempt(here, self.everywhere, known_address=place == HOME, now=self.now)

    def attempt(self, place: str) -> bool:
        if self.wait(place):
            return False
        self.here[place] = failed_here(self.here.get(place, Tally(0, self.now, self.now)), self.now)
        self.everywhere = failed_anywhere(self.everywhere, self.now)
        self.tried.append((place, self.now))
        return True


@given(TRIES)
def test_nothing_done_elsewhere_locks_a_user_out_at_home(tries: list[tuple[str, timedelta]]):
    """However many guess wherever, the right password is looked at from an address where the user has signed in before."""
    guessing = Guessing()
    for place, pause in tries:
        guessing.now += pause
        if place != HOME:
            guessing.attempt(place)
        assert guessing.wait(HOME) == NOTHING


@given(TRIES)
def test_every_wait_is_bounded_and_ends(tries: list[tuple[str, timedelta]]):
    """Fifteen minutes at most; who waits as told may try, wherever they are."""
    guessing = Guessing()
    for place, pause in tries:
        guessing.now += pause
        wait = guessing.wait(place)
        assert NOTHING <= wait <= LONGEST
        guessing.now += wait
        assert guessing.attempt(place)


@given(TRIES)
def test_guesses_from_everywhere_are_bounded(tries: list[tuple[str, timedelta]]):
    """Strangers get at most twenty in a quarter of an hour, which may straddle two counts."""
    guessing = Guessing()
    for place, pause in tries:
        guessing.now += pause
        guessing.attempt(place)
    strangers = [at for place, at in guessing.tried if place != HOME]
    for begin in strangers:
        assert sum(begin <= at < begin + WINDOW for at in strangers) <= 2 * MOST_IN_A_WINDOW


@given(st.lists(PAUSES, min_size=1, max_size=150))
def test_guesses_from_one_address_slow_down(pauses: list[timedelta]):
    """After five each costs twice the time of the one before, until it is a quarter of an hour; a quiet day forgives."""
    guessing = Guessing()
    failures = 0
    for pause in pauses:
        if pause >= timedelta(hours=24):
            failures = 0
        guessing.now += pause
        if guessing.attempt("a"):
            failures += 1
            expected = NOTHING if failures < FREE_FAILURES else min(LONGEST, timedelta(seconds=2**failures))
            assert guessing.wait("a") >= expected


def test_attempts_at_the_same_moment_do_not_wait_for_each_other():
    """One may have begun before another that was counted first; the free ones stay free."""
    before = START - timedelta(seconds=1)
    some = Tally(FREE_FAILURES - 1, START, START)
    assert wait_before_attempt(some, some, known_address=False, now=before) == NOTHING


def test_a_guesser_at_home_is_slowed_down_too():
    """Fifty wrong passwords in a row are no typing errors, also behind the address of a whole company."""
    guessing = Guessing()
    for _ in range(FAMILIAR_FAILURES):
        assert guessing.attempt(HOME)
    assert guessing.wait(HOME) == LONGEST
    guessing.now += LONGEST
    assert guessing.attempt(HOME)
