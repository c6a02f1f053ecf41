"""A program we started: its log file, its readiness, its end."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

POLL_SECONDS = 0.02
TAIL_LINES = 15


class StartFailed(RuntimeError):
    """A program ended or never became ready; the message says which, why, and ends with the tail of its log."""

    def __init__(self, name: str, reason: str, tail: str) -> None:
        super().__init__(f"{name} {reason}" + (f"; the end of its log:\n{tail}" if tail else ""))
        self.name = name
        self.reason = reason
        self.tail = tail


def tail_of(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, read from its last 64 KiB; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 65_536))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


@dataclass
class Process:
    """A program in a session of its own: a Ctrl-C at the terminal does not reach it, its starter decides. Restartable."""

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    user: int | None = None
    _popen: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._popen.pid if self._popen and self.running else None

    @property
    def running(self) -> bool:
        """Started and not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs or before the first start."""
        return self._popen.poll() if self._popen else None

    def start(self) -> None:
        """Start it, its output appended to the log (readable by its owner alone). Does not wait for anything."""
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env=self.env,
                cwd=self.cwd,
                start_new_session=True,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
            )
        finally:
            os.close(descriptor)

    def wait_ready(self, probe: Callable[[], bool], *, timeout: float = 60.0) -> float:
        """Seconds until `probe` said yes. Raises StartFailed when the process ends or the time is over."""
        begun = time.monotonic()
        while not probe():
            if not self.running:
                raise StartFailed(self.name, f"ended with exit code {self.exit_code}", tail_of(self.log))
            if time.monotonic() - begun > timeout:
                raise StartFailed(self.name, f"was not ready after {timeout:.0f} s", tail_of(self.log))
            time.sleep(POLL_SECONDS)
        return time.monotonic() - begun

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        if self._popen and self.running:
            self._popen.send_signal(number)

    def stop(self, *, timeout: float = 15.0) -> int | None:
        """Ask it to end, wait, kill it when the time is over; returns the exit code. Nothing happens when it does not run."""
        self.send(self.stop_signal)
        if self._popen:
            try:
                self._popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.exit_code

    def kill(self) -> None:
        """SIGKILL and reap: no chance to clean up."""
        self.send(signal.SIGKILL)
        if self._popen:
            self._popen.wait()
