"""What the owner of a key is told before it ends, and when: at some milestones, each once."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from accounts.domain.objects import Key
from accounts.domain.rotation import due_at, stops_at

NoticeKind = Literal["key_rotation_due", "key_expires"]

DAYS_BEFORE = (1, 7, 14)
HORIZON = timedelta(days=max(DAYS_BEFORE))
"""How long before a key ends anything is said of it."""


class Reminder(msgspec.Struct, frozen=True, kw_only=True):
    """A notice that is due. `occasion` is another one for each end of a key and each milestone before it; it is said once."""

    kind: NoticeKind
    key: Key
    at: datetime
    days_before: int

    @property
    def occasion(self) -> str:
        """Stable however often, and in whichever process, it is asked for."""
        return f"{self.at.isoformat()}/{self.days_before}"

    @property
    def detail(self) -> dict[str, Any]:
        """What the notice shows, as plain JSON values."""
        stops = stops_at(self.key) if self.kind == "key_rotation_due" else self.at
        return {
            "project_id": self.key.project_id,
            "name": self.key.name,
            "hint": self.key.hint,
            "owner_kind": self.key.owner_kind,
            "owner_id": self.key.owner_id,
            "days_before": self.days_before,
            "due_at": self.at.isoformat(),
            "stops_working_at": (stops or self.at).isoformat(),
        }


def milestone(begin: datetime, end: datetime, now: datetime, days_before: Sequence[int]) -> int | None:
    """The nearest milestone before an end that has been reached; None before the first, and when that lies before the begin.

    A life shorter than a milestone was meant to be so: nobody is told of it, nor of several milestones at once.
    """
    reached = [days for days in sorted(days_before) if now >= end - timedelta(days=days)]
    return reached[0] if reached and begin < end - timedelta(days=reached[0]) else None


def reminders(key: Key, now: datetime) -> list[Reminder]:
    """What is to be said of a key at this moment, again and again the same until the next milestone."""
    found = []
    due, ends = due_at(key), key.expires_at
    if due is not None and (ends is None or due < ends):
        days = milestone(key.rotated_at or key.created_at, due, now, (0, *DAYS_BEFORE))
        if days is not None:
            found.append(Reminder(kind="key_rotation_due", key=key, at=due, days_before=days))
    if ends is not None and now < ends:
        days = milestone(key.created_at, ends, now, DAYS_BEFORE)
        if days is not None:
            found.append(Reminder(kind="key_expires", key=key, at=ends, days_before=days))
    return found
