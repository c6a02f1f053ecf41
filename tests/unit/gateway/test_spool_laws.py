"""What must hold for every history of a spool, whenever its process dies."""

import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.outbound.event_spool import recovery
from gateway.outbound.event_spool.boot_folder import BootFolder, Segment
from gateway.outbound.event_spool.spool import EventSpool
from tests.unit.gateway.spool_makers import contents, events_of, ids_of, make_attempt, make_end, make_start, open_spool

MANY = 20_000

# What happens to a request: it starts, perhaps holds again, perhaps ends. Long user names make segments roll.
steps = st.lists(
    st.tuples(st.sampled_from(["start", "attempt", "end", "refuse", "commit"]), st.integers(0, 60)), min_size=20, max_size=120
)


class History:
    """A spool and what its caller knows."""

    def __init__(self, spool: EventSpool) -> None:
        self.spool = spool
        self.started: list[str] = []
        self.open: list[str] = []
        self.numbers: dict[int, str] = {}
        self.most_committed = 0

    def step(self, action: str, choice: int) -> None:
        """One event of the life of a gateway."""
        if action == "start":
            event_id = f"event-{len(self.started)}"
            self.spool.start(make_start(event_id, end_user="x" * choice * 1_500))
            self.started.append(event_id)
            self.open.append(event_id)
        elif action == "attempt" and self.open:
            self.spool.attempt(make_attempt(self.open[choice % len(self.open)]))
        elif action == "end" and self.open:
            self._end(self.open.pop(choice % len(self.open)))
        elif action == "refuse":
            self._end(f"refused-{len(self.numbers)}", filling=choice * 1_500)
        elif action == "commit":
            contiguous = max(self.numbers, default=0) * min(choice, 30) // 30
            self.most_committed = max(self.most_committed, contiguous)
            self.spool.committed(contiguous)
            if choice % 2:
                self.spool.carry_forward()

    def _end(self, event_id: str, *, filling: int = 0) -> None:
        event = make_end(event_id, boot=self.spool.boot, tags={"filling": "x" * filling})
        self.numbers[self.spool.end(event)] = event_id


@contextmanager
def lived(history: list[tuple[str, int]]) -> Iterator[History]:
    """A spool in a folder of its own that has gone through that."""
    with tempfile.TemporaryDirectory() as folder:
        spool = open_spool(Path(folder))
        told = History(spool)
        for action, choice in history:
            told.step(action, choice)
        yield told
        spool.close()


@settings(deadline=None, max_examples=150)
@given(steps)
def test_every_start_is_in_exactly_one_end(history: list[tuple[str, int]]) -> None:
    """Dying at any moment: what is still in the files or committed covers every start once, numbers are dense and never change."""
    with lived(history) as told, tempfile.TemporaryDirectory() as crashed:
        dead = Path(crashed) / told.spool.boot
        shutil.copytree(told.spool.folder.path, dead)
        folder, _ = recovery.recover(dead, "gateway")
        assert folder is not None
        last = max(told.numbers, default=0)
        assert folder.close == folder.last == last + len(told.open)
        assert folder.before <= told.most_committed
        left = dict(enumerate(ids_of(folder, folder.before + 1), folder.before + 1))
        assert {number: event_id for number, event_id in left.items() if number <= last} == {
            number: event_id for number, event_id in told.numbers.items() if number > folder.before
        }
        assert sorted(left[number] for number in range(last + 1, folder.last + 1)) == sorted(told.open)
        ends = [*left.values(), *(told.numbers[number] for number in range(1, folder.before + 1))]
        assert sorted(event_id for event_id in ends if event_id.startswith("event")) == sorted(told.started)


@settings(deadline=None, max_examples=80)
@given(steps, st.data())
def test_a_boot_torn_at_any_byte_of_its_last_record_recovers(history: list[tuple[str, int]], data: st.DataObject) -> None:
    """The record that was being written is as if never begun; every append that returned before it counts."""
    with lived(history) as told, tempfile.TemporaryDirectory() as crashed:
        segment = told.spool.folder.segments[-1].path
        before = told.spool._offset
        told.spool.start(make_start("torn"))
        after = told.spool._offset
        dead = Path(crashed) / told.spool.boot
        shutil.copytree(told.spool.folder.path, dead)
        if told.spool.folder.segments[-1].path == segment:
            cut = data.draw(st.integers(before, after - 1))
            torn = (dead / segment.name).read_bytes()
            (dead / segment.name).write_bytes(torn[:cut] + bytes(len(torn) - cut))
            folder, quarantined = recovery.recover(dead, "gateway")
            assert folder is not None
            assert not quarantined
            assert "torn" not in ids_of(folder, folder.before + 1)
            assert folder.last == max(told.numbers, default=0) + len(told.open)


@settings(deadline=None, max_examples=60)
@given(steps, st.integers(0, 3))
def test_recovery_may_be_killed_anywhere_and_run_again(history: list[tuple[str, int]], moment: int) -> None:
    """Killed before the file with the missing ends has its name, or after: the same events under the same numbers."""
    with lived(history) as told, tempfile.TemporaryDirectory() as crashed:
        dead = Path(crashed) / told.spool.boot
        shutil.copytree(told.spool.folder.path, dead)
        again = Path(crashed) / "again" / told.spool.boot
        if moment == 0:  # killed while the file was being written
            shutil.copytree(dead, again)
            (again / "00000099.new").write_bytes(b"half a rec")
        first, _ = recovery.recover(dead, "gateway")
        assert first is not None
        if moment == 1:  # killed just after
            shutil.copytree(dead, again)
        elif moment > 1:  # killed while shipping, with some of it committed and deleted
            shutil.copytree(dead, again)
            first.hear(first.last // moment)
            first.release()
            for segment in first.released:
                (again / segment.path.name).unlink()
        second, _ = recovery.recover(again, "gateway")
        assert second is not None
        assert (second.last, second.close) == (first.last, first.close)
        begin = max(first.before, second.before) + 1
        fields = [(e.event_id, e.cost_nanousd, e.status) for e in events_of(second, begin)]
        if moment == 1:
            assert contents(again) == contents(dead)
        if moment <= 1:
            assert fields == [(e.event_id, e.cost_nanousd, e.status) for e in events_of(first, begin)]


@settings(deadline=None, max_examples=80)
@given(steps)
def test_a_segment_goes_only_when_it_may(history: list[tuple[str, int]]) -> None:
    """What is deleted is a prefix, holds no end beyond the watermark and no open start."""
    with lived(history) as told:
        folder = told.spool.folder
        on_disk = sorted(path.name for path in folder.path.glob("*.seg"))
        assert on_disk == [segment.path.name for segment in folder.segments]
        remains = recovery.survey(folder.path)
        assert set(remains.dangling) == set(told.open)
        assert (remains.before or 0) <= told.most_committed
        assert remains.last == max(told.numbers, default=0)


def test_a_long_stream_does_not_keep_the_segments_after_it(tmp_path: Path) -> None:
    """Its start and further hold are written once more, the old segments go, and it is still booked when the process dies."""
    spool = open_spool(tmp_path / "spool")
    spool.start(make_start("long"))
    spool.attempt(make_attempt("long"))
    for number in range(3_000):
        spool.end(make_end(f"short-{number}", tags={"filling": "x" * 300}))
    spool.committed(spool.folder.last)
    assert len(spool.folder.segments) > 4
    for _ in range(len(spool.folder.segments)):
        spool.carry_forward()
        spool.committed(spool.folder.last)
    assert len(spool.folder.segments) < 4
    spool.close()
    again = open_spool(tmp_path / "spool")
    (folder,) = again.recover()
    (event,) = events_of(folder, 3_001)
    assert (event.event_id, event.cost_nanousd, len(event.attempts)) == ("long", 10_000, 2)
    again.close()


def test_a_file_that_cannot_be_deleted_holds_up_those_after_it(tmp_path: Path) -> None:
    """The end of a request never goes before its start, which would be booked as aborted; the file is tried again."""
    spool = open_spool(tmp_path / "spool")
    for number in range(2_000):
        spool.end(make_end(f"short-{number}", tags={"filling": "x" * 300}))
    first, *later = [segment.path for segment in spool.folder.segments]
    assert len(later) > 2
    kept = tmp_path / "kept"
    first.rename(kept)
    first.mkdir()  # what is a folder cannot be unlinked
    for _ in range(2):
        with pytest.raises(OSError, match=first.name):
            spool.committed(spool.folder.last)
        assert all(path.exists() for path in later)
    first.rmdir()
    kept.rename(first)
    spool.committed(spool.folder.last)
    assert list(spool.folder.path.glob("*.seg")) == later[-1:]
    spool.close()


@pytest.fixture
def often_switched() -> Iterator[None]:
    """Threads take turns thousands of times more often than they would."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("often_switched")
def test_what_is_released_while_files_are_being_removed_goes_too(tmp_path: Path) -> None:
    """The event loop releases, a thread removes: nothing falls between the two."""
    folder = BootFolder(tmp_path, "boot", "gateway", last=MANY)
    names = [tmp_path / str(number) for number in range(MANY + 1)]
    for path in names[-100:]:
        path.touch()
    over = threading.Event()

    def keep_removing() -> None:
        while not over.is_set():
            folder.remove_released()

    remover = threading.Thread(target=keep_removing)
    remover.start()
    for number, path in enumerate(names):
        folder.segments.append(Segment(path, number, 0))
        folder.hear(number)
        folder.release()
    over.set()
    remover.join()
    folder.remove_released()
    assert not folder.released
    assert list(tmp_path.iterdir()) == names[-1:]
