"""Chat requests to every gateway while something else is measured; each answer is checked by the load generator."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.build import compiled
from bench.driver import Driver
from bench.keys.installation import Gateway
from bench.peers.system import Ground, System, Unfit
from bench.processes import pick_cores

CELL_SECONDS = 5.0


@dataclass
class Load:
    """What was answered so far, and what went wrong."""

    accepted: int = 0
    faults: list[str] = field(default_factory=list)


@contextlib.contextmanager
def loaded(gateways: Sequence[Gateway], key: str, rate: float, folder: Path, upstream_port: int) -> Iterator[Load]:
    """So many requests a second to each gateway until the block ends, and a few seconds longer."""
    compiled("load")  # before several threads want it
    load, over = Load(), threading.Event()
    threads = [
        threading.Thread(
            target=_drive, args=(it, key, rate, Ground(pick_cores(), folder, upstream_port, contextlib.ExitStack()), load, over)
        )
        for it in gateways
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _drive(gateway: Gateway, key: str, rate: float, ground: Ground, load: Load, over: threading.Event) -> None:
    system = System(
        name=gateway.process.name,
        version="",
        settings="",
        port=gateway.port,
        roots=(gateway.pid,),
        model="fast",
        headers={"Authorization": f"Bearer {key}"},
    )
    driver = Driver(ground)
    while not over.is_set():
        try:
            driver.open_loop(system, stream=False, rate=rate, seconds=CELL_SECONDS)
        except Unfit as fault:
            load.faults.append(str(fault))
            return
        finally:
            load.accepted += driver.accepted.pop(system.name, 0)
