"""Which keys of a project are wanted."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFilter:
    """None = whatever it is. `unused_since`: older than that moment and not used since; `name`: contained in it, in any case."""

    status: str | None = None
    owner_id: str | None = None
    label: str | None = None
    name: str | None = None
    unused_since: datetime | None = None
    expires_before: datetime | None = None


EVERY_KEY = KeyFilter()
