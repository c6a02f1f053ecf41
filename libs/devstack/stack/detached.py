"""Run the supervisor in a session of its own; return when it is ready or has failed."""

import os
import signal
from collections.abc import Callable
from types import FrameType


def in_background(supervise: Callable[[int], int]) -> int:
    """0 once it is ready; else its exit code. An interruption meanwhile makes it stop first."""
    ready, ready_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ready)
        _leave(supervise, ready_end)
    os.close(ready_end)

    def pass_on(_number: int, _frame: FrameType | None) -> None:
        os.kill(child, signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    is_ready = os.read(ready, 1)
    os.close(ready)
    if is_ready:
        return 0
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or 1


def _leave(supervise: Callable[[int], int], ready_end: int) -> None:
    """In the child: never returns into the parent's code."""
    code = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        code = supervise(ready_end)
    finally:
        os._exit(code)
