"""How many refusals of a project are recorded one by one: whoever asks in a loop must not fill the spool of everybody."""

from collections import OrderedDict

PER_SECOND = 5.0
AT_ONCE = 50.0
MOST_PROJECTS = 10_000


class RecordedRefusals:
    """A bucket per project; the projects least lately refused are forgotten first. Of this process alone."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admits(self, project_id: str, now: float) -> bool:
        """Whether one more is to be recorded; then it is counted."""
        left, at = self._buckets.get(project_id, (AT_ONCE, now))
        left = min(AT_ONCE, left + (now - at) * PER_SECOND)
        admitted = left >= 1.0
        self._buckets[project_id] = (left - 1.0 if admitted else left, now)
        self._buckets.move_to_end(project_id)
        if len(self._buckets) > MOST_PROJECTS:
            self._buckets.popitem(last=False)
        return admitted
