"""How long a request may wait for its limits, over all its waits together: for requests, for tokens, for budget."""


class Patience:
    """Seconds."""

    __slots__ = ("_seconds", "waited")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.waited = 0.0

    @property
    def left(self) -> float:
        """What is left of it, 0.0 at the least."""
        return max(0.0, self._seconds - self.waited)
