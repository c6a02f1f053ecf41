"""Processes of the benchmark: pinned start and stop, CPU time and memory of whole trees, read from /proc."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@dataclass(frozen=True)
class Cores:
    """Which core the system under test has to itself, and which one carries everything else."""

    system: int
    rest: int

    @property
    def shared(self) -> bool:
        """True when the machine has a single core: figures are then worth little."""
        return self.system == self.rest


def pick_cores() -> Cores:
    """The first two cores this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(system=usable[0], rest=usable[min(1, len(usable) - 1)])


def spawn(
    command: Sequence[str], core: int, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a program on one core, as the leader of a process group of its own, its output in a log file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )


@contextlib.contextmanager
def running(
    command: Sequence[str], core: int, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A spawned program that is gone, with its whole group, when the block ends."""
    process = spawn(command, core, log, env, cwd)
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], patience: float = 10.0) -> None:
    """End a spawned program and its group: politely, then for good."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def log_tail(log: Path, characters: int = 600) -> str:
    """The end of a log, for an error message."""
    return log.read_text(errors="replace")[-characters:].strip() if log.exists() else "(no log)"


def _parent_and_ticks(pid: int) -> tuple[int, int] | None:
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[1]), int(fields[11]) + int(fields[12])


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def tree(roots: Sequence[int]) -> set[int]:
    """The roots and all their living descendants."""
    children: dict[int, list[int]] = {}
    for pid in _all_pids():
        if (seen := _parent_and_ticks(pid)) is not None:
            children.setdefault(seen[0], []).append(pid)
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def cpu_seconds(roots: Sequence[int]) -> float:
    """User and system time spent so far by the living processes of the trees."""
    return sum(seen[1] for pid in tree(roots) if (seen := _parent_and_ticks(pid))) / CLOCK_TICKS


def core_busy_seconds(core: int) -> float:
    """Time so far in which the core did anything at all, or was taken from us by the host."""
    for line in (PROC / "stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _waiting, *rest = (int(word) for word in line.split()[1:9])
            return (user + nice + system + sum(rest)) / CLOCK_TICKS
    return 0.0


def pss_mb(roots: Sequence[int]) -> float:
    """Proportional memory of the trees in MB (10^6 bytes)."""
    total = 0
    for pid in tree(roots):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / 1e6


def pin(roots: Sequence[int], core: int) -> None:
    """Move every thread of the trees to one core; threads and children started later inherit it."""
    for pid in tree(roots):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in (PROC / str(pid) / "task").iterdir():
                os.sched_setaffinity(int(task.name), {core})


def is_running(process: subprocess.Popen[bytes]) -> bool:
    """Whether the spawned program has not ended yet."""
    return process.poll() is None


def wait_until_gone(pids: Sequence[int], patience: float) -> None:
    """Wait until none of the processes lives, at most so long."""
    ends = time.monotonic() + patience
    while any((PROC / str(pid)).exists() for pid in pids) and time.monotonic() < ends:
        time.sleep(0.05)
