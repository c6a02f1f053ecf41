"""Which candidates are worth a try: ejected after failures in a row, probed once after a pause."""

from collections.abc import Sequence

from gateway.domain.routing import Candidate

FAILURES_TO_EJECT = 3
EJECTED_SECONDS = 5.0


class Health:
    """Consecutive failures by (upstream, model). Time is an argument, monotonic seconds."""

    def __init__(self) -> None:
        self._failures: dict[tuple[str, str], int] = {}
        self._ejected_until: dict[tuple[str, str], float] = {}
        self._turn = 0

    def order(self, candidates: Sequence[Candidate], now: float) -> list[Candidate]:
        """Candidates in the order to try: from a rotating start, the ejected ones last (they are still better than nothing)."""
        if len(candidates) == 1:
            return [candidates[0]]
        self._turn = start = (self._turn + 1) % len(candidates)
        rotated = [*candidates[start:], *candidates[:start]]
        if self._ejected_until:
            rotated.sort(key=lambda candidate: self._is_ejected(candidate, now))
        return rotated

    def _is_ejected(self, candidate: Candidate, now: float) -> bool:
        name = (candidate.upstream, candidate.model)
        until = self._ejected_until.get(name)
        if until is None:
            return False
        if now < until:
            return True
        self._ejected_until[name] = now + EJECTED_SECONDS  # one probe, the others wait for its outcome
        return False

    def succeeded(self, candidate: Candidate) -> None:
        """It answered: whatever was counted against it is forgotten."""
        if self._failures:
            self._failures.pop((candidate.upstream, candidate.model), None)
            self._ejected_until.pop((candidate.upstream, candidate.model), None)

    def failed(self, candidate: Candidate, now: float) -> None:
        """It failed in a way that another might not."""
        name = (candidate.upstream, candidate.model)
        self._failures[name] = failures = self._failures.get(name, 0) + 1
        if failures >= FAILURES_TO_EJECT:
            self._ejected_until[name] = now + EJECTED_SECONDS
