"""The callers at hand: joined once, found by lookup id, let go when a record that they were joined from changes."""

from collections.abc import Iterator

from common.contracts.directory import member_entry, organization_entry, project_entry
from gateway.domain.caller import Caller

MOST_OF_A_GENERATION = 50_000


class _Generation:
    """Callers, and by entry of the directory the lookups of those that were joined from it."""

    __slots__ = ("by_lookup", "joined_from")

    def __init__(self) -> None:
        self.by_lookup: dict[str, Caller] = {}
        self.joined_from: dict[str, set[str]] = {}

    def add(self, caller: Caller) -> None:
        lookup = caller.key.lookup
        self.by_lookup[lookup] = caller
        for entry in _entries(caller):
            self.joined_from.setdefault(entry, set()).add(lookup)


class JoinedCallers:
    """Two generations: when the young one is full it becomes the old one, and what nobody asked for since then is let go."""

    def __init__(self, most: int = MOST_OF_A_GENERATION) -> None:
        self._most = most
        self._young = _Generation()
        self._old = _Generation()
        self._found = self._young.by_lookup

    def find(self, lookup: str) -> Caller | None:
        """The caller if it is at hand: all its records are the present ones then."""
        known = self._found.get(lookup)
        if known is not None:
            return known
        old = self._old.by_lookup.get(lookup)
        return None if old is None else self.keep(old)

    def keep(self, caller: Caller) -> Caller:
        """Keep a caller just joined; answers the one that is at hand already, if there is one."""
        lookup = caller.key.lookup
        known = self._young.by_lookup.get(lookup) or self._old.by_lookup.pop(lookup, None) or caller
        if lookup not in self._young.by_lookup:
            if len(self._young.by_lookup) >= self._most:
                self._old, self._young = self._young, _Generation()
                self._found = self._young.by_lookup
            self._young.add(known)
        return known

    def drop_key(self, lookup: str) -> None:
        """A key's own record has changed."""
        self._young.by_lookup.pop(lookup, None)
        self._old.by_lookup.pop(lookup, None)

    def drop_joined_from(self, entry: str) -> None:
        """Another record has changed: those who were joined from it go, and they alone."""
        for generation in (self._young, self._old):
            for lookup in generation.joined_from.pop(entry, ()):
                generation.by_lookup.pop(lookup, None)


def _entries(caller: Caller) -> Iterator[str]:
    yield project_entry(caller.project.project_id)
    yield organization_entry(caller.organization.organization_id)
    if caller.owner is not None:
        yield member_entry(caller.owner.organization_id, caller.owner.member_id)
