"""How much of a limit per minute, or of a limit on concurrency, a boot may use next.

The law: whenever an ask is answered, over all boots, used in the last minute + leased ≤ limit. A boot that is silent counts with what it
told last and was leased until that must have left the window; a boot's own lease never shrinks but by its own word.
"""

from dataclasses import dataclass

VALID_SECONDS = 5.0
WINDOW_SECONDS = 60.0
COUNTED_SECONDS = WINDOW_SECONDS + VALID_SECONDS
"""So long after it was heard, what a boot may have used at the end of its lease is still in the window."""

SLOTS_SECONDS = 30.0
"""So long without a word, a boot's requests in flight are taken to be gone with it."""


@dataclass(frozen=True, slots=True)
class Share:
    """One unit of an ask: `others` = used and leased by all other boots; the boot's `used`, `kept` lease, `need` and `want`."""

    limit: int | None
    others: int
    used: int
    kept: int
    need: int
    want: int


def lease_of(share: Share, gateways: int) -> int:
    """The lease in force after the ask, `kept` at the least. Near the limit it shrinks with what is free, not below a need that fits."""
    if share.limit is None:
        return 0
    free = max(0, share.limit - share.others - share.used - share.kept)
    needed = min(free, max(0, share.need - share.kept))
    wanted = max(0, share.want - share.kept)
    return share.kept + max(needed, min(wanted, free // (2 * max(1, gateways))))


def lacks_idle(need: int, lease: int, idle: int) -> bool:
    """Whether requests wait for more than there is, and others may have some that they do not need."""
    return need > lease and idle > 0


def told_lease(share: Share, lease: int) -> int:
    """What the boot is told of its lease: less than it keeps while more is used and leased than the limit, as after the return of a
    boot that was taken for gone; below zero, so many of the requests that end must not be followed by others. The books go on with
    what it keeps until it has told that it has let go of it.
    """
    if share.limit is None:
        return 0
    over = share.others + share.used + share.kept - share.limit
    return share.kept - over if over > 0 else lease
