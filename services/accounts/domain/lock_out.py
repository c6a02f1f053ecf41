"""How guessing of passwords is slowed down without anybody being able to lock somebody else out for good.

Two counts decide: failures from one address for one email, after which each costs twice the time of the one before; and failures
for one email from everywhere, which close it for a while to addresses that its user has never signed in from. The user's own
addresses are not concerned by what happens elsewhere.
"""

from datetime import datetime, timedelta

import msgspec

FREE_FAILURES = 5
LONGEST = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(hours=24)
MOST_IN_A_WINDOW = 20
WINDOW = LONGEST
FAMILIAR_FAILURES = 50
"""So many at an address of one's own are no typing errors: then the rule of a single address holds there too."""


class Tally(msgspec.Struct, frozen=True):
    """Failures so far, the first and the last of them."""

    failures: int
    since: datetime
    last_at: datetime


def wait_before_attempt(here: Tally, everywhere: Tally, *, known_address: bool, now: datetime) -> timedelta:
    """How long until a password may be tried from here; nothing when it may be now, and never more than 15 minutes."""
    if known_address and here.failures < FAMILIAR_FAILURES:
        return timedelta(0)
    from_here = _closed_for(here, now)
    if known_address:
        return _bounded(from_here)
    window_ends = everywhere.since + WINDOW
    from_anywhere = window_ends - now if everywhere.failures >= MOST_IN_A_WINDOW else timedelta(0)
    return _bounded(max(from_here, from_anywhere))


def failed_here(tally: Tally, now: datetime) -> Tally:
    """One more from this address; after a quiet day the count begins again."""
    if now - tally.last_at >= FORGOTTEN_AFTER:
        return Tally(1, now, now)
    return Tally(tally.failures + 1, tally.since, now)


def failed_anywhere(tally: Tally, now: datetime) -> Tally:
    """One more for this email; the count begins again 15 minutes after its first, so that nobody can keep it closed by a trickle."""
    if tally.failures == 0 or now - tally.since >= WINDOW:
        return Tally(1, now, now)
    return Tally(tally.failures + 1, tally.since, now)


def _closed_for(tally: Tally, now: datetime) -> timedelta:
    if tally.failures < FREE_FAILURES:
        # Not "until the last one": of attempts at the same moment one may have begun before the other that was counted first.
        return timedelta(0)
    return tally.last_at + min(LONGEST, timedelta(seconds=2 ** min(tally.failures, 10))) - now


def _bounded(wait: timedelta) -> timedelta:
    return min(max(wait, timedelta(0)), LONGEST)
