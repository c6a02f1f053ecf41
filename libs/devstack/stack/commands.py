"""`down`, `status`, `logs`, `reset`: what is asked of a stack from outside."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from devstack.servers.ports import is_free
from devstack.servers.process import tail_of
from devstack.stack import identity
from devstack.stack.http import is_ready
from devstack.stack.refusal import Refused
from devstack.stack.settings import state_folder
from devstack.stack.state import State
from devstack.stack.terminal import Terminal

STOP_TIMEOUT = 90.0
NOT_RUNNING = 3
_READY_PATHS = {"provider": "/healthz", "litellm": "/health/liveliness"}


def down() -> int:
    """Stop the stack of this state folder; may be repeated."""
    state, terminal = State(state_folder()), Terminal()
    running = state.supervisor()
    if running is None:
        orphans = _end_orphans(state)
        terminal.say(f"Ended what was left behind: {', '.join(orphans)}." if orphans else "Nothing is running.")
        return 0
    pid, mark = running
    identity.end(pid, mark, number=signal.SIGTERM, timeout=STOP_TIMEOUT)
    _end_orphans(state)
    terminal.say("Stopped.")
    return 0


def _end_orphans(state: State) -> list[str]:
    if not (state.folder / "version").is_file():
        return []
    state.open()
    try:
        return state.end_orphans()
    finally:
        state.close()


def status() -> int:
    """0 when all parts are up and ready, 1 when some are not, 3 when nothing runs."""
    state, terminal = State(state_folder()), Terminal()
    described = state.read("stack.json") or {}
    if state.supervisor() is None:
        terminal.say(f"Not running ({state.folder}).")
        if reason := described.get("ended_because"):
            terminal.say(f"The last run ended: {reason}")
        return NOT_RUNNING
    if not described.get("pids"):
        terminal.say("Starting …")
        return 1
    states = list(_states(state, described))
    for name, pid, url, is_up in states:
        mark = terminal.green("ready") if is_up else terminal.bold("NOT READY")
        terminal.say(f"  {name:<12} pid {pid:<8} {url:<24} {mark}")
    return 0 if all(is_up for *_, is_up in states) else 1


def _states(state: State, described: dict[str, dict[str, int]]) -> Iterator[tuple[str, int, str, bool]]:
    marks = state.read("processes.json") or {}
    for name, pid in described["pids"].items():
        port = _port(name, described)
        alive = name == "supervisor" or (name in marks and identity.is_alive(pid, marks[name]["mark"]))
        if name in described["ports"]:
            yield name, pid, f"{name}://127.0.0.1:{port}", alive and not is_free(port)
        elif port:
            yield name, pid, f"http://127.0.0.1:{port}", alive and is_ready(port, _READY_PATHS.get(name, "/readyz"))
        else:
            yield name, pid, "", alive


def _port(name: str, described: dict[str, dict[str, int]]) -> int:
    return described["ports"].get(name) or described["service_ports"].get(name, 0)


def logs(service: str | None, *, follow: bool) -> int:
    """The end of a service's log, and what comes if asked to follow."""
    folder = state_folder() / "logs"
    known = sorted(path.stem for path in folder.glob("*.log")) if folder.is_dir() else []
    if service not in known:
        raise Refused(f"Which log? make logs SERVICE=… with one of: {', '.join(known) or 'none yet, start with `make up`'}.")
    log = folder / f"{service}.log"
    print(tail_of(log, lines=200))
    if follow:
        _follow(log)
    return 0


def _follow(log: Path) -> None:
    try:
        with log.open(errors="replace") as file:
            file.seek(0, 2)
            while True:
                sys.stdout.write(file.read())
                sys.stdout.flush()
                time.sleep(0.2)
    except KeyboardInterrupt:
        return


def reset() -> int:
    """Delete the state folder with all its data."""
    state, terminal = State(state_folder()), Terminal()
    terminal.say(f"Deleted {state.folder}." if state.delete() else f"There is no {state.folder}.")
    return 0
