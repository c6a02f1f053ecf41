"""A disk that is really full."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.outbound.event_spool.errors import SpoolFull
from gateway.outbound.event_spool.spool import EventSpool
from tests.unit.gateway.spool_makers import SMALLEST_SEGMENT, events_of, ids_of, make_end, make_start, open_spool


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "spool", str(folder)], capture_output=True).returncode
    ):
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all that is left of a disk."""
    path = folder / "filling"
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return path
    return path


def start_until_full(spool: EventSpool, prefix: str = "event", *, most: int = 100_000) -> list[str]:
    """Starts that were written before the first was refused."""
    started: list[str] = []
    while len(started) < most:
        try:
            spool.start(make_start(f"{prefix}-{len(started)}"))
        except SpoolFull:
            return started
        started.append(f"{prefix}-{len(started)}")
    return started


def test_every_start_that_was_written_can_end_on_a_full_disk(small_disk: Path) -> None:
    """Starts are refused while there is still room for the ends of all that are open; after a restart nothing is missing."""
    spool = open_spool(small_disk / "spool", max_bytes=1 << 30)
    started = start_until_full(spool)
    fill(small_disk)
    assert len(started) > 50
    assert not spool.accepts_starts
    numbers = [spool.end(make_end(event_id, tags={"filling": "x" * 2_000})) for event_id in started[:-3]]
    assert numbers == list(range(1, len(started) - 2))
    spool.close()
    (small_disk / "filling").unlink()
    again = open_spool(small_disk / "spool", max_bytes=1 << 30)
    (folder,) = again.recover()
    assert ids_of(folder) == started
    again.close()


def test_a_boot_is_recovered_on_a_full_disk(small_disk: Path) -> None:
    """The space that was allocated ahead is given back for what recovery has to write."""
    spool = open_spool(small_disk / "spool")
    started = start_until_full(spool, most=40)
    spool.end(make_end(started[0]))
    spool.sync()
    path = spool.folder.path
    for descriptor in (spool._fd, *(fd for _, fd in spool._spares), spool._slot.fd):
        os.close(descriptor)  # what the kernel does for a killed process
    again = open_spool(small_disk / "spool")
    fill(small_disk)
    (folder,) = again.recover()
    assert folder.path == path
    assert ids_of(folder) == started
    assert folder.close == len(started)
    again.close()


def test_a_boot_that_cannot_be_closed_yet_is_shipped_and_closed_later(small_disk: Path) -> None:
    """No room for the close: what is there can be shipped, its deletion makes room, and the close follows with the same numbers."""
    spool = open_spool(small_disk / "spool")
    for number in range(300):
        spool.end(make_end(f"early-{number}", tags={"filling": "x" * 1_000}))
    spool.start(make_start("dangling", end_user="x" * 60_000))
    spool.close()
    again = open_spool(small_disk / "spool")
    filling = fill(small_disk)
    (folder,) = again.recover()
    assert (folder.close, folder.last) == (None, 300)
    assert ids_of(folder)[-1] == "early-299"
    folder.hear(300)
    folder.release()
    folder.remove_released()
    os.truncate(filling, filling.stat().st_size - 128 * 1024)
    assert again.recover() == []
    assert (folder.close, ids_of(folder, 301)) == (301, ["dangling"])
    again.close()


def test_starts_are_accepted_again_when_space_is_back(small_disk: Path) -> None:
    """Full is a state, not an end."""
    spool = open_spool(small_disk / "spool", max_bytes=1 << 30)
    started = start_until_full(spool)
    for event_id in started:
        spool.end(make_end(event_id))
    refused = start_until_full(spool, "more")
    for event_id in refused:
        spool.end(make_end(event_id))
    while start_until_full(spool, "rest", most=1):
        spool.end(make_end("rest-0"))
    assert not spool.accepts_starts
    spool.committed(spool.folder.last)
    spool.sync()
    assert start_until_full(spool, "again", most=1)
    spool.close()


def end_without_start(spool: EventSpool, times: int) -> None:
    """As refused requests do."""
    for number in range(times):
        spool.end(make_end(f"refused-{number}", tags={"filling": "x" * 1_000}))


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """The kernel writes up to this byte of a file and then refuses; the signal for it is ignored by Python."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_short_write_leaves_no_trace(tmp_path: Path) -> None:
    """The kernel takes half a record: it is refused, what was begun is zeros again, and the next record stands in its place."""
    spool = open_spool(tmp_path / "spool", max_bytes=SMALLEST_SEGMENT)
    spool.start(make_start("first"))
    segment, offset = spool.folder.segments[-1].path, spool._offset
    with file_size_limit(offset + 100), pytest.raises(SpoolFull):
        spool.start(make_start("short"))
    assert segment.read_bytes()[offset:].count(0) == SMALLEST_SEGMENT - offset
    spool.start(make_start("second"))
    spool.close()
    again = open_spool(tmp_path / "spool")
    (folder,) = again.recover()
    assert ids_of(folder) == ["first", "second"]
    assert again.quarantined == 0
    again.close()


def test_the_allowance_is_kept(tmp_path: Path) -> None:
    """Without watermarks the spool grows up to its allowance and then refuses; refusals without a start are refused too."""
    spool = open_spool(tmp_path / "spool", max_bytes=4 * SMALLEST_SEGMENT)
    with pytest.raises(SpoolFull):
        end_without_start(spool, 100_000)
    assert spool.bytes_used <= 4 * SMALLEST_SEGMENT
    assert spool.folder.last > 500
    assert len(events_of(spool.folder)) == spool.folder.last
    spool.close()
