"""Which gateways live: those that said so within the last seconds."""

from common.contracts.events import Presence

ALIVE_SECONDS = 5.0
FORGOTTEN_SECONDS = 60.0


class Present:
    """Boots by when they were last heard; the caller's monotonic clock."""

    def __init__(self) -> None:
        self._heard: dict[str, float] = {}

    def heard(self, presence: Presence, now: float) -> None:
        """A gateway said that it lives."""
        self._heard[presence.boot] = now
        if len(self._heard) > 64:
            self._heard = {boot: at for boot, at in self._heard.items() if now - at < FORGOTTEN_SECONDS}

    def boots(self, now: float, *, within: float = ALIVE_SECONDS) -> list[str]:
        """The boots that were heard within so many seconds."""
        return [boot for boot, at in self._heard.items() if now - at <= within]
