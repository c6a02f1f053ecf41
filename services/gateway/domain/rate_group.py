"""All limits per minute and on concurrency that one kind of request counts against, taken together in a single pass."""

from collections.abc import Iterator

from common.contracts.directory import Enforcement
from gateway.domain.limit_list import write_limits
from gateway.domain.rate_headers import Tightest
from gateway.domain.rate_limit import Amount, RateScope

Rated = tuple[RateScope, Enforcement]

CHOSEN_SECONDS = 0.1
"""So long the tightest limits are taken to be the same ones; what is left of them is told as it is."""


class RateGroup:
    """What all requests of the same key and end user have in common. Empty where nothing limits them.

    `limit_names`: as events carry them (domain.limit_list).
    """

    __slots__ = ("_are_hard", "_chosen_until", "_tightest", "limit_names", "rated", "scopes")

    def __init__(self, rated: tuple[Rated, ...]) -> None:
        self.rated = rated
        self.scopes = tuple(scope for scope, _ in rated)
        self.limit_names = write_limits(f"{scope.scope}.{name}" for scope in self.scopes for name in scope.limit_names)
        self._are_hard = all(enforcement == "hard" for _, enforcement in rated)
        self._tightest = Tightest((), 0.0)
        self._chosen_until = 0.0

    def take_free(self, requests: int, tokens: int, slots: int, now: float) -> bool:
        """Count so much more in all scopes if that needs no look at any of them."""
        if not self._are_hard:
            return False
        for scope in self.scopes:
            if (
                now >= scope.free_until
                or scope.requests + requests > scope.free_requests
                or scope.tokens + tokens > scope.free_tokens
                or scope.slots + slots > scope.free_slots
            ):
                return False
        for scope in self.scopes:
            scope.requests += requests
            scope.tokens += tokens
            scope.slots += slots
        return True

    def covers(self, amount: Amount, now: float) -> bool:
        """Whether the leases at hand do, where nothing else has to be looked at."""
        return self._are_hard and all(scope.covers(amount, now) for scope in self.scopes)

    def use(self, amount: Amount, now: float) -> Iterator[RateScope]:
        """Count it; those scopes for which somebody should ask ahead."""
        return (scope for scope in self.scopes if scope.use(amount, now))

    def end(self, tokens: int, counted_at: float) -> None:
        """A request has ended; it has needed so many tokens more than were counted for it then, less is a negative number."""
        for scope in self.scopes:
            scope.slots -= 1
            if tokens:
                if counted_at >= scope.since:
                    scope.tokens += tokens
                else:
                    scope.correct(0, tokens, counted_at)

    def take_back_request(self, counted_at: float) -> None:
        """A request that was counted then has been refused by something else."""
        for scope in self.scopes:
            scope.correct(-1, 0, counted_at)

    def header_lines(self, now: float) -> bytes:
        """Where the tightest limits stand."""
        if now >= self._chosen_until:
            self._tightest = Tightest(self.scopes, now)
            self._chosen_until = now + CHOSEN_SECONDS
        return self._tightest.lines(now)

    def header_lines_now(self, now: float) -> bytes:
        """The same, chosen now: for whoever is refused."""
        self._chosen_until = 0.0
        return self.header_lines(now)
