"""The running parts of a stack: started in any order, stopped in reverse of their needs."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event, Lock
from typing import Protocol

from devstack.servers.embedded import EmbeddedServer
from devstack.servers.process import Process, StartFailed, tail_of
from devstack.stack.settings import CHECKOUT
from devstack.stack.state import State
from devstack.stack.terminal import Terminal

READY_TIMEOUT = 60.0
JOB_TIMEOUT = 120.0
# A gateway drains up to 30 s and flushes up to 5 s.
STOP_TIMEOUT = 45.0

STOP_ORDER = ("gateway", "usage", "accounts", "litellm", "provider", "valkey", "postgres", "nats")
"""Who is used stops after who uses it; gateways (`gateway-2`, …) count as `gateway`."""


class Cancelled(Exception):
    """The start was given up elsewhere; says nothing new."""


class Part(Protocol):
    """What the supervisor watches: one of our processes, or a server around one."""

    name: str
    log: Path

    @property
    def pid(self) -> int | None: ...
    @property
    def running(self) -> bool: ...
    @property
    def exit_code(self) -> int | None: ...


def died(part: Part) -> StartFailed:
    """A part that should run has ended."""
    return StartFailed(part.name, f"ended with exit code {part.exit_code}", tail_of(part.log))


class Parts:
    """Starts parts, knows them, watches them, stops them. Thread-safe for starting."""

    def __init__(self, state: State, terminal: Terminal, cancel: Event) -> None:
        self._state = state
        self._terminal = terminal
        self._cancel = cancel
        self._lock = Lock()
        self._started: dict[str, Process | EmbeddedServer] = {}
        self.ready_seconds: dict[str, float] = {}

    def server(self, server: EmbeddedServer) -> None:
        """Start a server and wait until it is ready. Raises StartFailed."""
        self._check()
        begun = time.monotonic()
        with self._lock:
            self._started[server.name] = server
        server.start()
        self._note(server, time.monotonic() - begun, f"port {server.port}")

    def program(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        ready: Callable[[], bool],
        note: str = "",
        timeout: float = READY_TIMEOUT,
    ) -> None:
        """Start a program and wait until `ready` says so. Raises StartFailed."""
        self._check()
        process = Process(name, argv, self._state.prepare_log(name), env=env, cwd=CHECKOUT)
        with self._lock:
            process.start()
            self._started[name] = process
            self._state.remember_process(name, process.pid or 0)
        self._note(process, process.wait_ready(partial(self._unless_cancelled, ready), timeout=timeout), note)

    def job(self, name: str, module: str, *arguments: str, env: Mapping[str, str]) -> str:
        """Run one of our commands to its end; returns what it printed. Raises StartFailed with the end of its complaints."""
        self._check()
        log = self._state.prepare_log(name)
        begun = time.monotonic()
        with log.open("ab") as file:
            done = subprocess.run(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                env=env,
                cwd=CHECKOUT,
                text=True,
                check=False,
                timeout=JOB_TIMEOUT,
            )
        if done.returncode:
            raise StartFailed(name, f"failed with exit code {done.returncode}", tail_of(log))
        self._terminal.done(name, time.monotonic() - begun)
        return done.stdout

    def _check(self) -> None:
        if self._cancel.is_set():
            raise Cancelled

    def _unless_cancelled(self, ready: Callable[[], bool]) -> bool:
        self._check()
        return ready()

    def _note(self, part: Process | EmbeddedServer, seconds: float, note: str) -> None:
        with self._lock:
            self.ready_seconds[part.name] = round(seconds, 3)
            self._state.remember_process(part.name, part.pid or 0)
        self._terminal.done(part.name, seconds, note)

    def pids(self) -> dict[str, int]:
        """Process ids by name, of what runs."""
        return {name: part.pid for name, part in self._started.items() if part.pid}

    def find(self, name: str) -> Process | EmbeddedServer:
        """A started part by its name, for who kills and restarts single ones. Raises KeyError."""
        return self._started[name]

    def find_dead(self) -> Part | None:
        """A part that has ended though nobody asked it to."""
        return next((part for part in self._started.values() if not part.running), None)

    def stop(self) -> None:
        """Stop all in order, equals side by side; what does not end in time is killed. Never raises for a part that is gone."""
        for kind in STOP_ORDER:
            same = [part for name, part in self._started.items() if name == kind or name.startswith(f"{kind}-")]
            if same:
                with ThreadPoolExecutor(len(same)) as threads:
                    list(threads.map(_stop, same))
        self._state.forget_processes()


def _stop(part: Process | EmbeddedServer) -> None:
    if isinstance(part, Process):
        part.stop(timeout=STOP_TIMEOUT)
    else:
        part.stop()
