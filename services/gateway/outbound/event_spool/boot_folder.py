"""The segments of one boot: which may be deleted, and reading ends back."""

import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gateway.outbound.event_spool.framing import END, Damage, scan

LOST = b"null"
"""Travels in place of an end that the disk has lost: usage parks it visibly and the numbers after it are not held up."""

CURSOR = "committed"
READ_TOGETHER = 256


@dataclass(slots=True)
class Segment:
    """One file. `last`: the last number given when it was left; `open`: starts in it without an end."""

    path: Path
    last: int
    size: int
    open: int = 0


@dataclass(slots=True)
class BootFolder:
    """Ends are numbered densely from 1 to `last`; `close` is `last` once nothing more can come, None before.

    Owned by the event loop's thread. `read`, `remove_released` and `delete` block on the disk and may run in others.
    """

    path: Path
    boot: str
    gateway: str
    segments: deque[Segment] = field(default_factory=deque)
    last: int = 0
    close: int | None = None
    before: int = 0
    """The last number that had left the files when they were found: it had been committed."""
    committed: int = 0
    """Up to where usage has everything, by its own last word."""
    closed: bool = False
    released: deque[Segment] = field(default_factory=deque)
    """Segments that may be deleted, oldest first; they stay here until they are."""
    _removing: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def first(self) -> int:
        """The first number that is not known to be committed."""
        return self.committed + 1

    @property
    def is_done(self) -> bool:
        """Usage has everything and knows that no more will come: the folder may go."""
        return self.close is not None and self.closed and self.committed >= self.close

    @property
    def bytes_used(self) -> int:
        """Disk space of its segments, until they are deleted."""
        return sum(segment.size for segment in (*self.released, *self.segments))

    def hear(self, contiguous: int, *, closed: bool = False) -> None:
        """Usage says that it has everything up to `contiguous`. It is believed if that is less than before, too: its database has
        been restored to an earlier state, and what the files still have must be shipped again.
        """
        self.committed = min(contiguous, self.last)
        self.closed = closed

    def release(self) -> None:
        """Give up the segments that nobody needs any more, for `remove_released`.

        Only from the front, and never the last one: it holds the numbering.
        """
        segments = self.segments
        while len(segments) > 1 and segments[0].last <= self.committed and not segments[0].open:
            self.released.append(segments.popleft())

    def remove_released(self) -> None:
        """Delete what was released, in order: an end never goes before a start that stands in an older file. Blocks.

        Raises OSError: that file and those after it stay, and are tried again next time.
        """
        with self._removing:
            while self.released:
                self.released[0].path.unlink(missing_ok=True)
                self.released.popleft()

    def read(self, first: int, up_to: int) -> Iterator[bytes]:
        """The ends `first`…`up_to` from the files, LOST where one is damaged; ends early where a file was committed meanwhile.

        May be consumed in a thread.
        """
        return _read([segment.path for segment in self.segments if segment.last >= first], first, up_to)

    def delete(self) -> None:
        """Remove the folder; killed half-way, the rest still says where the boot ended."""
        self.remove_released()
        remove([segment.path for segment in self.segments])
        shutil.rmtree(self.path, ignore_errors=True)

    def save_cursor(self) -> None:
        """Remember what was committed, so that the next boot need not ship it again. Losing this loses nothing."""
        (self.path / CURSOR).write_text(str(self.committed))

    def load_cursor(self) -> None:
        """Take up what `save_cursor` left, if it did; what has left the files had been committed anyway."""
        self.committed = self.before
        with suppress(OSError, ValueError):
            self.committed = max(self.before, min(int((self.path / CURSOR).read_text()), self.last))


def remove(paths: Sequence[Path]) -> None:
    """Delete files in order; those that are gone are fine."""
    for path in paths:
        path.unlink(missing_ok=True)


def _read(paths: list[Path], first: int, up_to: int) -> Iterator[bytes]:
    expected = first
    for path in paths:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return
        for count, found in enumerate(scan(data)):
            if not count % READ_TOGETHER:
                time.sleep(0)  # lets the event loop have the interpreter
            if isinstance(found, Damage) or found.kind != END or found.number < expected:
                continue
            while expected < min(found.number, up_to + 1):
                yield LOST
                expected += 1
            if expected > up_to:
                return
            yield found.payload
            expected += 1
    while expected <= up_to:
        yield LOST
        expected += 1
