"""Is a process still the one we started? A process id alone may have been given to somebody else."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path


def started_at(pid: int) -> str | None:
    """A mark that no later process with the same id has; None when there is no such process (or it waits to be reaped)."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self").exists() else _by_ps(pid)
    return None if fields[0] == "Z" else fields[19]


def _by_ps(pid: int) -> str | None:
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def is_alive(pid: int, mark: str) -> bool:
    """The process that had this mark when it was written down still runs."""
    return started_at(pid) == mark


def end(pid: int, mark: str, *, number: signal.Signals = signal.SIGTERM, timeout: float = 10.0) -> bool:
    """End that process, by force when the time is over; returns whether it ran."""
    if not is_alive(pid, mark):
        return False
    for attempt in (number, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, attempt)
        if wait_gone(pid, mark, timeout=timeout):
            break
    return True


def wait_gone(pid: int, mark: str, *, timeout: float) -> bool:
    """True when it is gone within that time."""
    over = time.monotonic() + timeout
    while is_alive(pid, mark):
        if time.monotonic() > over:
            return False
        time.sleep(0.02)
    return True
