"""Boots that died: read what they left, book their dangling starts at their holds, close them. Killed anywhere, it can be run again."""

import logging
import os
import shutil
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gateway.outbound.event_spool.boot_folder import READ_TOGETHER, BootFolder, Segment
from gateway.outbound.event_spool.framing import ATTEMPT, CLOSE, END, HEAD, START, Damage, Record, frame_numbered, scan
from gateway.outbound.event_spool.records import AttemptHold, IdentifiedEvent, Start, aborted
from gateway.outbound.event_spool.segment_file import SPARES, segment_name, sync_folder

log = logging.getLogger(__name__)

QUARANTINE = "quarantine"
MOST_QUARANTINED_FILES = 64

_identify_end = msgspec.json.Decoder(IdentifiedEvent).decode
_start = msgspec.msgpack.Decoder(Start).decode
_attempt = msgspec.msgpack.Decoder(AttemptHold).decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Dangling:
    """A start without an end, where it stands, and further holds."""

    segment: Segment
    start: Start
    further: list[AttemptHold] = field(default_factory=list)


@dataclass(slots=True)
class Remains:
    """What was found of a boot. `died_at`: Unix milliseconds of its last write."""

    segments: deque[Segment] = field(default_factory=deque)
    gateway: str = ""
    before: int | None = None
    last: int = 0
    close: int | None = None
    dangling: dict[str, Dangling] = field(default_factory=dict)
    died_at: int = 0
    quarantined: int = 0


def recover(path: Path, gateway: str) -> tuple[BootFolder | None, int]:
    """The boot in that folder, closed, and how many damaged places were found; None if it never lived (the folder is gone then).

    `gateway`: its name, should it be unreadable. Not closed if the disk is full: try `finish` again later, it can be shipped so far.
    """
    remains = survey(path)
    if not remains.segments:
        shutil.rmtree(path, ignore_errors=True)
        return None, remains.quarantined
    folder = BootFolder(
        path, path.name, remains.gateway or gateway, remains.segments, remains.last, remains.close, remains.before or 0
    )
    folder.load_cursor()
    _close(folder, remains)
    return folder, remains.quarantined


def finish(folder: BootFolder) -> None:
    """Close a boot for which there was no room before."""
    remains = survey(folder.path)
    _close(folder, remains)


def survey(path: Path) -> Remains:
    """Read all segments. Cuts a torn tail off the last one; copies other damage to quarantine and goes on behind it."""
    remains = Remains()
    files = sorted(path.glob("*.seg"))
    for file in files:
        data = file.read_bytes()
        segment = Segment(file, remains.last, len(data))
        remains.segments.append(segment)
        remains.died_at = int(file.stat().st_mtime * 1000)
        for count, found in enumerate(scan(data)):
            if not count % READ_TOGETHER:
                time.sleep(0)  # lets the event loop have the interpreter
            if isinstance(found, Damage) and found.is_tail and file is files[-1]:
                os.truncate(file, found.begin)
            elif isinstance(found, Damage) or not _is_noted(remains, segment, found):
                remains.quarantined += 1
                _quarantine(file, data[found.begin : found.end], found.begin)
        segment.last = remains.last
    return remains


def _is_noted(remains: Remains, segment: Segment, record: Record) -> bool:
    try:
        _note(remains, segment, record)
    except msgspec.MsgspecError:
        return False
    return True


def _note(remains: Remains, segment: Segment, record: Record) -> None:
    if remains.before is None and record.kind in (HEAD, END):
        remains.before = record.number - (record.kind == END)
    if record.kind == START:
        start = _start(record.payload)
        earlier = remains.dangling.get(start.event_id)
        if earlier is not None:  # carried forward
            earlier.segment.open -= 1
        remains.dangling[start.event_id] = Dangling(segment, start, earlier.further if earlier else [])
        segment.open += 1
    elif record.kind == ATTEMPT:
        hold = _attempt(record.payload)
        begun = remains.dangling.get(hold.event_id)
        if begun is not None and hold not in begun.further:
            begun.further.append(hold)
    elif record.kind == END:
        remains.last = max(remains.last, record.number)
        _ended(remains, _identify_end(record.payload).event_id)
    elif record.kind == HEAD:
        remains.last = max(remains.last, record.number)
        remains.gateway = record.payload.decode(errors="replace")
    elif record.kind == CLOSE:
        remains.close = record.number


def _ended(remains: Remains, event_id: str) -> None:
    begun = remains.dangling.pop(event_id, None)
    if begun is not None:
        begun.segment.open -= 1


def _quarantine(file: Path, data: bytes, begin: int) -> None:
    log.error("spool: unreadable bytes", extra={"segment": str(file), "begin": begin, "bytes": len(data)})
    folder = file.parent.parent.parent / QUARANTINE
    # Best effort: the copy is for people; the alarm has been given and recovery must not stop here.
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        if len(list(folder.iterdir())) < MOST_QUARANTINED_FILES:
            (folder / f"{file.parent.name}-{file.stem}-{begin}").write_bytes(data)


def _close(folder: BootFolder, remains: Remains) -> None:
    """One file with the missing ends and the close record appears at once, or not at all: numbers once given never change."""
    if remains.close is not None:
        return
    remove_spares(folder.path)  # makes room on a full disk
    records, number = [frame_numbered(HEAD, remains.last, folder.gateway.encode())], remains.last
    for lost in remains.dangling.values():
        number += 1
        event = aborted(lost.start, lost.further, gateway=folder.gateway, boot=folder.boot, at=remains.died_at)
        records.append(frame_numbered(END, number, _encode(event)))
    records.append(frame_numbered(CLOSE, number, b""))
    target = folder.path / segment_name(int(remains.segments[-1].path.stem) + 1)
    data = b"".join(records)
    try:
        _write_at_once(target, data)
    except OSError as problem:
        log.error("spool: a boot cannot be closed yet: %s", problem, extra={"boot": folder.boot})
        return
    log.info("spool: boot recovered", extra={"boot": folder.boot, "aborted": len(remains.dangling), "last": number})
    folder.segments.append(Segment(target, number, len(data)))
    for segment in tuple(folder.segments):
        segment.open = 0
    folder.last = folder.close = number


def remove_spares(path: Path) -> None:
    """Delete segments that were allocated ahead and never used."""
    for spare in path.glob(SPARES):
        spare.unlink(missing_ok=True)


def _write_at_once(target: Path, data: bytes) -> None:
    temporary = target.with_suffix(".new")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)
