"""Steps that need each other, run as early as their needs allow."""

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from threading import Event


@dataclass(frozen=True, slots=True)
class Step:
    """What to do, and the names of the steps that must have been done before."""

    do: Callable[[], None]
    after: tuple[str, ...] = ()


def run(steps: Mapping[str, Step], *, cancel: Event) -> None:
    """Run all, in threads. The first failure sets `cancel`, is waited out and raised; so is an interruption of the caller."""
    missing = _needs(steps)
    running: dict[Future[None], str] = {}
    with ThreadPoolExecutor(len(steps) or 1) as threads:
        try:
            while missing or running:
                for name in [name for name, needs in missing.items() if not needs]:
                    del missing[name]
                    running[threads.submit(steps[name].do)] = name
                for future in wait(running, timeout=0.1, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    future.result()
                    for needs in missing.values():
                        needs.discard(name)
        except BaseException:
            cancel.set()
            raise


def _needs(steps: Mapping[str, Step]) -> dict[str, set[str]]:
    """What each step waits for, of the steps that are there at all. Raises CycleError when some wait for each other."""
    needs = {name: set(step.after) & steps.keys() for name, step in steps.items()}
    TopologicalSorter(needs).prepare()
    return needs
