"""Real processes, really killed."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.outbound.event_spool.boot_folder import BootFolder
from tests.unit.gateway.spool_makers import events_of, open_spool


class Writer:
    """A child with a spool; what it said is in `lines`."""

    def __init__(self, folder: Path, command: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.gateway.spool_process", str(folder), command], stdout=subprocess.PIPE
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.decode().strip())

    def wait_for(self, lines: int) -> None:
        """Until it has said that much."""
        deadline = time.monotonic() + 90
        while len(self.lines) < lines and self.process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def kill(self) -> None:
        """SIGKILL; then everything it said is in `lines`."""
        self.process.kill()
        self.process.wait(30)
        self._reader.join(30)
        assert self.process.stdout
        self.process.stdout.close()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Callable[[str], Writer]]:
    """Starts children on one spool; all are killed at the end."""
    made: list[Writer] = []

    def make(command: str) -> Writer:
        made.append(Writer(tmp_path / "spool", command))
        made[-1].wait_for(1)
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.kill()


def check(folder: BootFolder, lines: list[str]) -> None:
    """Every append that returned is there, every start is in exactly one end, numbers are dense and as given."""
    events = events_of(folder)
    ids = [event.event_id for event in events]
    assert len(ids) == len(set(ids)) == folder.last == folder.close
    said = [line.split() for line in lines]
    starts = {words[1] for words in said if words[0] == "start"}
    ends = {words[1]: int(words[2]) for words in said if words[0] == "end"}
    assert starts <= set(ids)
    assert all(ids[number - 1] == event_id for event_id, number in ends.items())
    assert {event.event_id for event in events if event.status == "aborted"}.isdisjoint(ends)
    # At most one append of each kind had been written but not yet been said.
    assert len(set(ids) - starts) <= 1


@pytest.mark.faults
def test_nothing_is_lost_when_writers_are_killed(tmp_path: Path, writer: Callable[[str], Writer]) -> None:
    """kill -9 at thousands of events a second, again and again: all that was acknowledged is recovered, by the next in the slot."""
    written: dict[str, list[str]] = {}
    for round_ in range(5):
        child = writer("write")
        assert child.lines[0].split()[1] == "s0"
        child.wait_for(1_500 + 1_777 * round_)
        child.kill()
        written[child.lines[0].split()[2]] = child.lines
    spool = open_spool(tmp_path / "spool", max_bytes=1 << 30)
    recovered = {folder.boot: folder for folder in spool.recover()}
    assert list(recovered) == list(written)
    for boot, lines in written.items():
        check(recovered[boot], lines)
    assert spool.quarantined == 0
    spool.close()


@pytest.mark.faults
def test_recovery_is_killed_and_begun_again(tmp_path: Path, writer: Callable[[str], Writer]) -> None:
    """A recovering process that is killed at any time leaves something from which the next one recovers the same."""
    child = writer("write")
    child.wait_for(20_000)
    child.kill()
    for milliseconds in (0, 5, 20, 60, 150):
        recovering = writer("recover")
        time.sleep(milliseconds / 1000)
        recovering.kill()
    spool = open_spool(tmp_path / "spool", max_bytes=1 << 30)
    recovered = {folder.boot: folder for folder in spool.recover()}
    check(recovered[child.lines[0].split()[2]], child.lines)
    spool.close()


def test_processes_never_share_a_slot(writer: Callable[[str], Writer]) -> None:
    """Each of several takes the next free slot; a freed one is taken again."""
    children = [writer("hold") for _ in range(3)]
    assert [child.lines[0].split()[1] for child in children] == ["s0", "s1", "s2"]
    children[1].kill()
    assert writer("hold").lines[0].split()[1] == "s1"


def test_a_dead_slot_is_adopted_once(tmp_path: Path, writer: Callable[[str], Writer]) -> None:
    """Of two living processes one adopts the dead one's slot, and nobody touches the slot of the living."""
    living = writer("hold")
    dead = writer("write")
    dead.wait_for(500)
    dead.kill()
    assert dead.lines[0].split()[1] == "s1"
    adopter, other = open_spool(tmp_path / "spool"), None
    try:
        assert adopter.slot == "s1"  # free again: it is simply taken
        own = adopter.recover()
        assert [folder.boot for folder in own] == [dead.lines[0].split()[2]]
        other = open_spool(tmp_path / "spool")
        assert other.slot == "s2"
        assert other.recover() == []
        adopter.close()
        adopted = other.recover()
        assert {folder.boot for folder in adopted} == {own[0].boot, adopter.boot}
        assert living.process.poll() is None
        for folder in adopted:
            other.discard(folder)
        assert not list((tmp_path / "spool" / "s1").glob("*/"))
        assert open_and_close(tmp_path / "spool") == "s1"
    finally:
        if other is not None:
            other.close()


def open_and_close(folder: Path) -> str:
    """Which slot the next process gets."""
    spool = open_spool(folder)
    spool.close()
    return spool.slot
