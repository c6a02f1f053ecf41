"""`up`: hold the lock, start everything, watch it, stop it when asked or when a part dies."""

import os
import signal
import time
from types import FrameType
from typing import NoReturn

from devstack.servers.process import StartFailed
from devstack.stack import settings as environment
from devstack.stack import welcome
from devstack.stack.assembly import Assembly, require_free_ports
from devstack.stack.parts import died
from devstack.stack.refusal import Refused
from devstack.stack.settings import Settings
from devstack.stack.state import State
from devstack.stack.terminal import Terminal

WATCH_SECONDS = 0.1
INTERRUPTED = 130


class Asked(BaseException):
    """Somebody asked us to stop; raised in the main thread, once."""


class Signals:
    """The first SIGINT, SIGTERM or SIGHUP raises Asked; later ones change nothing, so that stopping is not cut short."""

    def __init__(self) -> None:
        self._armed = True
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._heard)

    def disarm(self) -> None:
        """From now on nothing is raised."""
        self._armed = False

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        if self._armed:
            self._armed = False
            raise Asked


def up(*, detach: bool) -> int:
    """The exit code: 0 stopped on request, 1 did not become or stay ready, 2 refused, 130 interrupted while starting."""
    if detach:
        from devstack.stack.detached import in_background

        return in_background(supervise)
    return supervise(None)


def supervise(ready_descriptor: int | None) -> int:
    """Run a stack from start to stop. A byte is written to the descriptor, if any, when everything is ready."""
    signals = Signals()
    terminal = Terminal()
    try:
        wanted = environment.read()
        wanted.ports()
        state = State(wanted.state)
        state.open()
    except Refused as refused:
        terminal.error(str(refused))
        return 2
    try:
        return _run(wanted, state, terminal, signals, ready_descriptor)
    except Refused as refused:
        terminal.error(str(refused))
        return 2
    except Asked:
        return INTERRUPTED
    finally:
        signals.disarm()
        state.close()


def _run(wanted: Settings, state: State, terminal: Terminal, signals: Signals, ready_descriptor: int | None) -> int:
    state.claim()
    if orphans := state.end_orphans():
        terminal.say(f"Ended what an earlier start left behind: {', '.join(orphans)}.")
    require_free_ports(wanted)
    begun = time.monotonic()
    assembly = Assembly(wanted, state, terminal)
    ready = False
    reason = None
    try:
        terminal.say(terminal.dim(f"Starting CodexFlow ({state.folder}) …"))
        assembly.start()
        state.write("stack.json", _with_supervisor(assembly))
        ready = True
        welcome.show(assembly, terminal, time.monotonic() - begun, detached=ready_descriptor is not None)
        if ready_descriptor is not None:
            _let_go(state, ready_descriptor)
        _watch(assembly)
    except Asked:
        return 0 if ready else INTERRUPTED
    except StartFailed as failed:
        reason = str(failed)
        terminal.error(reason)
        return 1
    finally:
        signals.disarm()
        assembly.cancel.set()
        terminal.say(terminal.dim("Stopping …"))
        assembly.parts.stop()
        _note_end(state, reason)
        terminal.say("Stopped.")


def _watch(assembly: Assembly) -> NoReturn:
    """Until a part dies (StartFailed) or somebody asks (Asked)."""
    while True:
        if part := assembly.parts.find_dead():
            raise died(part)
        time.sleep(WATCH_SECONDS)


def _with_supervisor(assembly: Assembly) -> dict[str, object]:
    described = assembly.description()
    return {**described, "pids": {**described["pids"], "supervisor": os.getpid()}}


def _note_end(state: State, reason: str | None) -> None:
    """The addresses and the key stay in stack.json; the processes are gone."""
    if described := state.read("stack.json"):
        state.write("stack.json", {**described, "pids": {}, "ended_because": reason})


def _let_go(state: State, ready_descriptor: int) -> None:
    """Say that all is ready, and leave the terminal: from now on the supervisor speaks to its log."""
    log = os.open(state.prepare_log("supervisor"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(ready_descriptor, b"1")
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    for descriptor in (log, ready_descriptor):
        os.close(descriptor)
