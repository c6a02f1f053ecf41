"""Refused keys by client address: whoever guesses is soon refused without a look at the key."""

from collections import OrderedDict

MOST_ADDRESSES = 50_000


class AddressFailures:
    """A bucket of `per_minute` failures for every address, filled again evenly; 0 = no bound. Of this process alone."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._interval = 60.0 / per_minute if per_minute else 0.0
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def failed(self, address: str, now: float) -> None:
        """A key of theirs was refused. The addresses least lately seen to fail are forgotten first."""
        if not self.per_minute:
            return
        self._full_at[address] = max(now, self._full_at.get(address, 0.0)) + self._interval
        self._full_at.move_to_end(address)
        if len(self._full_at) > MOST_ADDRESSES:
            self._full_at.popitem(last=False)

    def wait_of(self, address: str, now: float) -> float:
        """Seconds until one more may fail; 0.0 if it may now."""
        full_at = self._full_at.get(address)
        if full_at is None:
            return 0.0
        return max(0.0, full_at - now - 60.0)

    def used_of(self, address: str, now: float) -> int:
        """How many of its failures are not forgotten yet."""
        full_at = self._full_at.get(address)
        return 0 if full_at is None else max(0, round((full_at - now) / self._interval))

    def __bool__(self) -> bool:
        """Whether anybody has failed lately: one look tells most requests that there is nothing to ask."""
        return bool(self._full_at)
