"""What the DIRECTORY bucket held at a moment, in 26 bytes an entry: a million keys must fit beside the service."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator

import msgspec


class Stored(msgspec.Struct, frozen=True):
    """What the bucket holds under an entry; the status is empty for what has none, like the manifest."""

    version: int
    sequence: int
    status: str = ""


ABSENT = Stored(version=0, sequence=0)
REVOKED = "revoked"


class DirectorySnapshot:
    """Filled with `add`, closed with `settle`, asked with `meet`.

    Entries are known by their 64-bit hash, which differs from process to process: that two of a million are taken for one happens
    once in forty million snapshots, and the next process sees them apart.
    """

    def __init__(self) -> None:
        self._hashes, self._versions, self._sequences = array("q"), array("q"), array("q")
        self._revoked, self._met = bytearray(), bytearray()

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, entry: str, stored: Stored) -> None:
        """An entry of the bucket; its last `add` counts."""
        self._hashes.append(hash(entry))
        self._versions.append(stored.version)
        self._sequences.append(stored.sequence)
        self._revoked.append(stored.status == REVOKED)

    def settle(self) -> None:
        """Put in order what was added."""
        order = sorted(range(len(self)), key=self._hashes.__getitem__)
        self._hashes = array("q", map(self._hashes.__getitem__, order))
        self._versions = array("q", map(self._versions.__getitem__, order))
        self._sequences = array("q", map(self._sequences.__getitem__, order))
        self._revoked = bytearray(map(self._revoked.__getitem__, order))
        self._met = bytearray(len(order))

    def meet(self, entry: str) -> Stored:
        """What is held under an entry, ABSENT for nothing; the entry now counts as met."""
        wanted = hash(entry)
        first = place = bisect_left(self._hashes, wanted)
        while place < len(self) and self._hashes[place] == wanted:
            self._met[place] = True
            place += 1
        if place == first:
            return ABSENT
        return Stored(self._versions[place - 1], self._sequences[place - 1], REVOKED if self._revoked[place - 1] else "")

    def strangers(self) -> Iterator[int]:
        """The sequences of entries that nobody met and that are not revoked."""
        for place, sequence in enumerate(self._sequences):
            if not self._met[place] and not self._revoked[place]:
                yield sequence
