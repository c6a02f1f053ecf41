"""The spool of one process: append a start, a further hold, an end; each is one `write`, on the request path."""

import os
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from common.contracts.events import RequestSettled
from common.contracts.identifiers import uuid7
from gateway.outbound.event_spool import recovery, slots
from gateway.outbound.event_spool.boot_folder import BootFolder, Segment, remove
from gateway.outbound.event_spool.errors import SpoolFull
from gateway.outbound.event_spool.framing import ATTEMPT, END, HEAD, MAX_PAYLOAD, OVERHEAD, START, frame, frame_numbered
from gateway.outbound.event_spool.records import AttemptHold, Start, shortened
from gateway.outbound.event_spool.segment_file import SPARES, allocate, segment_name, sync_folder, write_whole

SEGMENT_BYTES: Final = 8 * 1024 * 1024
MAX_BYTES: Final = 1024 * 1024 * 1024
TAIL_BYTES: Final = 32 * 1024 * 1024
END_RESERVE: Final = 4096
"""Room kept for the end of every open start: a start is refused so that ends never are."""
STILL_WRITING: Final = 2**62
GROW_AGAIN_SECONDS: Final = 0.1
CARRY_FROM_SEGMENTS: Final = 4
CARRY_TOGETHER: Final = 256

_pack_start = msgspec.msgpack.Encoder().encode
_encode_event = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Opened:
    """A start without an end: the oldest segment that is needed for it, and its records."""

    segment: Segment
    records: bytes


class EventSpool:
    """Single writer, owned by the event loop's thread. `sync` and `recover` may run in another."""

    def __init__(self, slot: slots.Slot, folder: BootFolder, *, segment_bytes: int, max_bytes: int) -> None:
        self._slot = slot
        self.folder = folder
        self._segment_bytes = segment_bytes
        self._max_bytes = max_bytes
        self._spares: deque[tuple[Path, int]] = deque()
        self._left: deque[int] = deque()
        self._fd = -1
        self._offset = 0
        self._synced = (-1, 0)
        self._open: dict[str, Opened] = {}
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._tail_first = 1
        self._sealed = False
        self._grow_after = 0.0
        self._lock = threading.Lock()
        self._recovering = threading.Lock()
        self._adopted: dict[str, slots.Slot] = {}
        self._recovered: dict[str, tuple[BootFolder, slots.Slot]] = {}
        self.shipped = 0
        self.quarantined = 0

    @classmethod
    def open(
        cls, folder: Path, *, gateway: str = "", segment_bytes: int = SEGMENT_BYTES, max_bytes: int = MAX_BYTES
    ) -> "EventSpool":
        """Take a free slot and begin a boot in it. Raises NoFreeSlot, or SpoolFull if not even one segment fits."""
        if segment_bytes < 2 * (MAX_PAYLOAD + OVERHEAD):
            raise ValueError(f"a segment needs {2 * (MAX_PAYLOAD + OVERHEAD)} bytes or more")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        slot = slots.take_free(folder)
        boot = uuid7()
        path = slot.path / boot
        path.mkdir(mode=0o700)
        name = f"{gateway or socket.gethostname()}-{slot.name}"
        spool = cls(slot, BootFolder(path, boot, name), segment_bytes=segment_bytes, max_bytes=max_bytes)
        try:
            spool._roll()
        except SpoolFull:
            slot.release()
            raise
        return spool

    # ---- the request path ------------------------------------------------------------------------------------------

    def start(self, start: Start) -> None:
        """On return it is written: it survives any death of the process. Raises SpoolFull: the request must be refused."""
        payload = _pack_start(start)
        if len(payload) > MAX_PAYLOAD:
            payload = _pack_start(shortened(start))
        record = frame(START, payload)
        if self._sealed or not self._has_room(len(record), len(self._open) + 1):
            raise SpoolFull
        self._append(record)
        segment = self.folder.segments[-1]
        segment.open += 1
        self._open[start.event_id] = Opened(segment, record)

    def attempt(self, hold: AttemptHold) -> None:
        """Write a further hold before the attempt is made. Raises SpoolFull: it must not be made."""
        record = frame(ATTEMPT, _pack_start(hold))
        if not self._has_room(len(record), len(self._open)):
            raise SpoolFull
        self._append(record)
        opened = self._open.get(hold.event_id)
        if opened is not None:
            opened.records += record

    def end(self, event: RequestSettled) -> int:
        """Write the outcome and return its number; an end without a start is fine.

        Raises SpoolFull only when the disk fails beyond the reserve, or without a start when the reserve would be touched. Then
        a start stays open, and the next boot books it at its hold.
        """
        payload = _encode_event(event)
        if len(payload) > MAX_PAYLOAD:
            payload = _encode_event(shortened(event))
        number = self.folder.last + 1
        record = frame_numbered(END, number, payload)
        started = self._open.get(event.event_id)
        if self._sealed or (started is None and not self._has_room(len(record), len(self._open))):
            raise SpoolFull
        self._append(record)
        self.folder.last = number
        if started is not None:
            del self._open[event.event_id]
            started.segment.open -= 1
        self._remember(payload)
        return number

    def _append(self, record: bytes) -> None:
        if self._offset + len(record) > self._segment_bytes:
            self._roll()
        if not write_whole(self._fd, record, self._offset):
            self._roll()
            if not write_whole(self._fd, record, self._offset):
                raise SpoolFull
        self._offset += len(record)

    def _remember(self, payload: bytes) -> None:
        self._tail.append(payload)
        self._tail_bytes += len(payload)
        while self._tail_bytes > TAIL_BYTES:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self._tail_bytes -= len(self._tail.popleft())
        self._tail_first += 1

    # ---- room ------------------------------------------------------------------------------------------------------

    @property
    def slot(self) -> str:
        """Name of the slot: what else this process keeps on disk may go by it."""
        return self._slot.name

    @property
    def gateway(self) -> str:
        """This process's name to the others; outlives the boot."""
        return self.folder.gateway

    @property
    def boot(self) -> str:
        """The identity of this boot, UUIDv7."""
        return self.folder.boot

    @property
    def backlog(self) -> int:
        """Ends of this boot that are not on the bus yet."""
        return self.folder.last - self.shipped

    @property
    def accepts_starts(self) -> bool:
        """Whether a start would be written now."""
        return not self._sealed and self._has_room(END_RESERVE, len(self._open) + 1)

    @property
    def bytes_used(self) -> int:
        """Disk space of this boot, its spares and the boots it recovered."""
        adopted = sum(folder.bytes_used for folder, slot in tuple(self._recovered.values()) if slot is not self._slot)
        return self._slot_bytes() + adopted

    def _slot_bytes(self) -> int:
        # What was adopted is another slot's allowance.
        earlier = sum(folder.bytes_used for folder, slot in tuple(self._recovered.values()) if slot is self._slot)
        return self.folder.bytes_used + len(self._spares) * self._segment_bytes + earlier

    def _has_room(self, size: int, open_starts: int) -> bool:
        # One record may be too long for the rest of a segment, so that much of it may stay unused.
        needed = size + (open_starts + 1) * END_RESERVE
        room = self._segment_bytes - self._offset + len(self._spares) * self._segment_bytes
        return room >= needed or self._grow(needed)

    def _grow(self, needed: int) -> bool:
        now = time.monotonic()
        if now < self._grow_after:
            return False
        while self._segment_bytes - self._offset + len(self._spares) * self._segment_bytes < needed:
            if not self._allocate_spare():
                self._grow_after = now + GROW_AGAIN_SECONDS
                return False
        return True

    def _allocate_spare(self, *, even_beyond_limit: bool = False) -> bool:
        if not even_beyond_limit and self._slot_bytes() + self._segment_bytes > self._max_bytes:
            return False
        path = self.folder.path / f"{uuid7()}{SPARES[1:]}"
        try:
            self._spares.append((path, allocate(path, self._segment_bytes)))
        except OSError:
            return False
        return True

    def _roll(self) -> None:
        """Go on in the next segment; it has its head before it has its name. Raises SpoolFull and changes nothing."""
        if not self._spares and not self._allocate_spare(even_beyond_limit=True):
            raise SpoolFull
        spare, fd = self._spares[0]
        head = frame_numbered(HEAD, self.folder.last, self.gateway.encode())
        segments = self.folder.segments
        path = self.folder.path / segment_name(int(segments[-1].path.stem) + 1 if segments else 1)
        if not write_whole(fd, head, 0):
            raise SpoolFull
        spare.rename(path)
        self._spares.popleft()
        if segments:
            segments[-1].last = self.folder.last
            self._left.append(self._fd)
        segments.append(Segment(path, STILL_WRITING, self._segment_bytes))
        self._fd, self._offset = fd, len(head)

    def sync(self) -> None:
        """Make everything appended so far outlive a power cut, and allocate ahead. Blocks on the disk; raises OSError."""
        with self._lock:
            if self._fd < 0:
                return
            rolled = bool(self._left)
            while self._left:
                os.fdatasync(self._left[0])
                os.close(self._left.popleft())
            now = (self._fd, self._offset)
            if now != self._synced:
                os.fdatasync(now[0])
                self._synced = now
            if rolled:
                sync_folder(self.folder.path)
            if not self._spares and not self._sealed:
                self._allocate_spare()

    # ---- for the shipper -------------------------------------------------------------------------------------------

    def tail(self, first: int, count: int) -> list[bytes] | None:
        """Up to `count` ends from number `first` on, if memory still has them."""
        skip = first - self._tail_first
        return list(islice(self._tail, skip, skip + count)) if skip >= 0 else None

    def mark_shipped(self, number: int) -> None:
        """The bus has everything up to `number`; memory may forget it, the files stay until it is committed."""
        self.shipped = max(self.shipped, number)
        while self._tail and self._tail_first <= number:
            self._forget_oldest()

    def committed(self, contiguous: int, *, closed: bool = False) -> None:
        """Usage has committed everything up to `contiguous`: delete what that frees."""
        self.folder.hear(contiguous, closed=closed)
        self.folder.release()
        self.folder.remove_released()

    def carry_forward(self) -> None:
        """Write the open starts of an old segment once more, so that one long stream does not keep all that came after it."""
        segments = self.folder.segments
        oldest = segments[0]
        if len(segments) < CARRY_FROM_SEGMENTS or oldest.last > self.folder.committed:
            return
        pinning = (opened for opened in self._open.values() if opened.segment is oldest)
        for opened in list(islice(pinning, CARRY_TOGETHER)):
            if not self._has_room(len(opened.records), len(self._open)):
                return
            with suppress(SpoolFull):
                self._append(opened.records)
                oldest.open -= 1
                opened.segment = segments[-1]
                opened.segment.open += 1

    def recover(self) -> list[BootFolder]:
        """Boots of the dead, in this slot and in slots that nobody has, now this process's to ship. Blocks; scans their files."""
        fresh: list[BootFolder] = []
        with self._recovering:
            for slot in (self._slot, *self._adopt()):
                fresh += [folder for path in slot.boots() if (folder := self._recover(slot, path)) is not None]
            for folder, _ in self._recovered.values():
                if folder.close is None and folder not in fresh:
                    recovery.finish(folder)
            self._release_empty()
        return fresh

    def _recover(self, slot: slots.Slot, path: Path) -> BootFolder | None:
        if self._fd < 0 or path.name == self.boot or path.name in self._recovered:
            return None
        folder, quarantined = recovery.recover(path, f"{socket.gethostname()}-{slot.name}")
        self.quarantined += quarantined
        if folder is not None:
            self._recovered[folder.boot] = folder, slot
        return folder

    def discard(self, folder: BootFolder) -> None:
        """Delete a recovered boot that is done, and let its slot go with the last one. Blocks on the disk."""
        with self._recovering:
            folder.delete()
            self._recovered.pop(folder.boot, None)
            self._release_empty()

    def _adopt(self) -> list[slots.Slot]:
        if self._fd < 0:
            return []
        root = self._slot.path.parent
        for name in slots.names_with_boots(root):
            if name != self.slot and name not in self._adopted and (slot := slots.take(root, name)) is not None:
                self._adopted[name] = slot
        return list(self._adopted.values())

    def _release_empty(self) -> None:
        for name, slot in list(self._adopted.items()):
            if not slot.boots():
                self._adopted.pop(name).release()

    # ---- the end ---------------------------------------------------------------------------------------------------

    def seal(self) -> bool:
        """Nothing more will be appended, so the boot can be closed at its last number; False while starts are open."""
        if self._open:
            return False
        self._sealed = True
        self.folder.close = self.folder.last
        return True

    def close(self) -> None:
        """Let go of files and slots; what is not committed stays for the next boot. May be called twice."""
        self._sealed = True
        with self._lock:
            if self._fd < 0:
                return
            for fd in (*self._left, self._fd):
                with suppress(OSError):  # the disk fails, and the process is ending: recovery reads what there is
                    os.fdatasync(fd)
                os.close(fd)
            for _, fd in self._spares:
                os.close(fd)
            self._fd = -1
            remove([path for path, _ in self._spares])
            self._spares.clear()
        if self.folder.is_done:
            self.folder.delete()
        else:
            with suppress(OSError):
                self.folder.remove_released()
            with suppress(OSError):
                self.folder.save_cursor()
        with self._recovering:  # a recovery that is under way finishes its boot first
            for slot in (self._slot, *self._adopted.values()):
                slot.release()
            self._adopted.clear()
