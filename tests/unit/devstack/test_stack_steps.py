"""Steps run as early as their needs allow, and a failure ends the start."""

from graphlib import CycleError
from threading import Event

import pytest

from devstack.stack.steps import Step, run


def test_a_step_runs_after_what_it_needs():
    """Needs that are not part of this start count as done."""
    order: list[str] = []
    steps = {
        "last": Step(lambda: order.append("last"), after=("second", "absent")),
        "second": Step(lambda: order.append("second"), after=("first",)),
        "first": Step(lambda: order.append("first")),
    }
    run(steps, cancel=Event())
    assert order == ["first", "second", "last"]


def test_independent_steps_run_at_the_same_time():
    """Two steps that wait for each other's signal both end."""
    here, there = Event(), Event()

    def meet(mine: Event, other: Event) -> None:
        mine.set()
        assert other.wait(10)

    run({"a": Step(lambda: meet(here, there)), "b": Step(lambda: meet(there, here))}, cancel=Event())


def test_a_failure_cancels_the_others_and_is_raised():
    """Who still waits is told; nothing that needed the failed step runs."""
    cancel = Event()
    ran: list[str] = []

    def fail() -> None:
        raise OSError("no")

    steps = {
        "fails": Step(fail),
        "waits": Step(lambda: ran.append("cancelled" if cancel.wait(10) else "late")),
        "never": Step(lambda: ran.append("never"), after=("fails",)),
    }
    with pytest.raises(OSError, match="no"):
        run(steps, cancel=cancel)
    assert ran == ["cancelled"]


def test_steps_that_wait_for_each_other_are_refused():
    """A cycle is a mistake of ours: it must not hang the start."""
    with pytest.raises(CycleError):
        run({"a": Step(lambda: None, after=("b",)), "b": Step(lambda: None, after=("a",))}, cancel=Event())
