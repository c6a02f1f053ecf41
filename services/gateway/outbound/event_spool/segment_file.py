"""Files of a segment: allocated ahead, so that a full disk is met here and not in the middle of a record."""

import os
from contextlib import suppress
from pathlib import Path

SPARES = "*.spare"


def segment_name(number: int) -> str:
    """File name; sorts like the number."""
    return f"{number:08d}.seg"


def allocate(path: Path, size: int) -> int:
    """A new file of zeros that really has its space; returns its descriptor. Raises OSError and leaves nothing."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError:
        os.close(fd)
        path.unlink(missing_ok=True)
        raise
    return fd


def write_whole(fd: int, data: bytes, offset: int) -> bool:
    """True when all of it is written; otherwise what was begun is zeros again, as far as the disk allows."""
    try:
        written = os.pwrite(fd, data, offset)
    except OSError:
        return False
    if written == len(data):
        return True
    with suppress(OSError):
        os.pwrite(fd, bytes(written), offset)
    return False


def sync_folder(path: Path) -> None:
    """Make renames in it last."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
