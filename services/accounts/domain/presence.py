"""Which gateways are alive, and up to where each has applied the directory."""

from dataclasses import dataclass
from datetime import UTC, datetime

from common.contracts.events import Presence

ALIVE_SECONDS = 3.0
KNOWN_GATEWAYS = 10_000


@dataclass(frozen=True, slots=True)
class Effective:
    """On how many of the live gateways a change has been applied after so many milliseconds.

    pending: the change is safely recorded, but it has not been seen everywhere yet (or the bus is away, so nobody knows).
    """

    gateways: int
    acknowledged: int
    milliseconds: int
    pending: bool


@dataclass(frozen=True, slots=True)
class _Seen:
    at: float
    created: str
    applied: int


class PresenceView:
    """The last word of every gateway process; the clock is an argument."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def hear(self, presence: Presence, now: float) -> None:
        """A gateway has spoken; a new boot of the same gateway takes its place."""
        if len(self._seen) >= KNOWN_GATEWAYS:
            self._forget(now)
        self._seen[presence.gateway] = _Seen(now, canonical_moment(presence.directory_created), presence.applied_sequence)

    def standing(self, created: str, sequence: int, now: float) -> tuple[int, int]:
        """How many gateways are alive, and how many of them have applied that sequence of that bucket."""
        alive = [seen for seen in self._seen.values() if now - seen.at <= ALIVE_SECONDS]
        wanted = canonical_moment(created)
        return len(alive), sum(seen.created == wanted and seen.applied >= sequence for seen in alive)

    def alive(self, now: float) -> int:
        """How many gateways have spoken lately."""
        return sum(now - seen.at <= ALIVE_SECONDS for seen in self._seen.values())

    def _forget(self, now: float) -> None:
        self._seen = {name: seen for name, seen in self._seen.items() if now - seen.at <= ALIVE_SECONDS}


def canonical_moment(text: str) -> str:
    """The same moment is the same text, however many digits of a second and whatever spelling of UTC a client uses."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="microseconds")
