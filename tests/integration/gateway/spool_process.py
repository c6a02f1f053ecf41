"""A process that writes a spool and says on its standard output what has been written: `python -m … FOLDER COMMAND`."""

import os
import sys
import time
from pathlib import Path

from common.contracts.identifiers import uuid7
from gateway.outbound.event_spool.spool import EventSpool
from tests.unit.gateway.spool_makers import make_end, make_start, open_spool

EVENTS_PER_SECOND = 5_000
STAYING_OPEN = 13
"""Every so manieth request never ends."""


def say(line: str) -> None:
    """Tell the test, unbuffered: what is said has happened."""
    os.write(1, f"{line}\n".encode())


def write(spool: EventSpool) -> None:
    """Requests without end, at a steady rate, the ends a few requests behind the starts."""
    began, count, waiting = time.monotonic(), 0, []
    while True:
        event_id = uuid7()
        spool.start(make_start(event_id))
        say(f"start {event_id}")
        count += 1
        if count % STAYING_OPEN:
            waiting.append(event_id)
        if len(waiting) > 5:
            event_id = waiting.pop(0)
            number = spool.end(make_end(event_id, tags={"filling": "x" * 400}))
            say(f"end {event_id} {number}")
        if not count % 200:
            spool.sync()
        ahead = began + 2 * count / EVENTS_PER_SECOND - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)


def recover(spool: EventSpool) -> None:
    """Recover what is there, then stay."""
    for folder in spool.recover():
        say(f"recovered {folder.boot} {folder.last}")
    say("done")
    time.sleep(600)


def hold(spool: EventSpool) -> None:
    """Stay, doing nothing."""
    time.sleep(600)


if __name__ == "__main__":
    opened = open_spool(Path(sys.argv[1]), max_bytes=1 << 30)
    say(f"slot {opened.slot} {opened.boot}")
    {"write": write, "recover": recover, "hold": hold}[sys.argv[2]](opened)
