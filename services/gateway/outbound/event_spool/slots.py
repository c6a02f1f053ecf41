"""Slots: each process owns one folder below the spool, by a lock that the kernel gives back however the process ends."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

MOST_SLOTS = 1024


class NoFreeSlot(RuntimeError):
    """More processes share this spool than it has slots."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A locked folder. The lock lasts until `release` or the end of the process."""

    name: str
    path: Path
    fd: int

    def boots(self) -> list[Path]:
        """Folders of the boots in it, oldest first: their names are ordered by time."""
        return boots_in(self.path)

    def release(self) -> None:
        """Let others have it."""
        os.close(self.fd)


def boots_in(path: Path) -> list[Path]:
    """The boots' folders, oldest first."""
    return sorted(entry for entry in path.iterdir() if entry.is_dir())


def take(folder: Path, name: str) -> Slot | None:
    """The slot of that name, or None while somebody has it. Never blocks."""
    path = folder / name
    path.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return Slot(name, path, fd)


def take_free(folder: Path) -> Slot:
    """The first free slot: s0, s1, … Raises NoFreeSlot."""
    for number in range(MOST_SLOTS):
        slot = take(folder, f"s{number}")
        if slot is not None:
            return slot
    raise NoFreeSlot(f"all {MOST_SLOTS} slots below {folder} are taken")


def names_with_boots(folder: Path) -> list[str]:
    """Slots in which something is left, whoever has them."""
    return sorted(path.name for path in folder.glob("s[0-9]*") if path.is_dir() and boots_in(path))
