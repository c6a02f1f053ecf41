"""What breaks things: one fault at a time or several, each undone again."""

import asyncio
import random
import signal
import time
from collections.abc import Sequence

from tests.faults.quiet import read_metrics
from tests.faults.rig import Rig

RESTART_ORDER = ("nats", "postgres", "valkey", "accounts", "usage", "gateway", "gateway-2")
PAUSABLE = ("nats", "usage", "gateway", "gateway-2", "valkey")
"""A paused postmaster stops nothing but new connections."""

STOPPABLE = ("usage", "accounts", "gateway", "gateway-2")
LONGEST_DOWN_SECONDS = 2.0


async def kill_and_restart(rig: Rig, *names: str, seconds: float) -> None:
    """kill -9 all of them at once, start them again in the order of their needs after so many seconds."""
    await asyncio.gather(*(asyncio.to_thread(rig.kill, name) for name in names))
    await asyncio.sleep(seconds)
    for name in sorted(names, key=_rank):
        await asyncio.to_thread(rig.restart, name)


def _rank(name: str) -> int:
    """Gateways come last, however many there are."""
    return RESTART_ORDER.index("gateway" if name.startswith("gateway") else name)


async def until_busy(rig: Rig, gateway: str) -> None:
    """Until that gateway answers several requests at the moment: now is the time to kill it."""
    async with asyncio.timeout(60):
        while (await asyncio.to_thread(read_metrics, rig.port_of(gateway)))["in_flight"] < 2:
            await asyncio.sleep(0.01)


async def stop_and_restart(rig: Rig, name: str, *, seconds: float) -> None:
    """SIGTERM: it must end by itself, with exit code 0."""
    code = await asyncio.to_thread(rig.stop, name)
    assert code == 0, f"{name} ended with exit code {code} after SIGTERM"
    await asyncio.sleep(seconds)
    await asyncio.to_thread(rig.restart, name)


async def pause(rig: Rig, name: str, *, seconds: float) -> None:
    """SIGSTOP and SIGCONT: it keeps its connections and says nothing."""
    rig.send(name, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        rig.send(name, signal.SIGCONT)


class Campaign:
    """Faults drawn from a seed; `story` tells them in order."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.story: list[str] = []

    async def run(self, rig: Rig, *, seconds: float) -> None:
        """Fault after fault until the time is over; everything runs again at the end."""
        over = time.monotonic() + seconds
        while time.monotonic() < over:
            await self._strike(rig)
            await asyncio.sleep(self._random.uniform(0.3, 2.0))

    async def _strike(self, rig: Rig) -> None:
        draw = self._random
        seconds = draw.uniform(0, LONGEST_DOWN_SECONDS)
        fault = draw.choices(("kill", "kill two", "stop", "pause"), (6, 2, 1, 1))[0]
        if fault == "pause":
            self._told(fault, [name := draw.choice(PAUSABLE)], seconds)
            await pause(rig, name, seconds=seconds)
        elif fault == "stop":
            self._told(fault, [name := draw.choice(STOPPABLE)], seconds)
            await stop_and_restart(rig, name, seconds=seconds)
        else:
            names = draw.sample(RESTART_ORDER, 2 if fault == "kill two" else 1)
            self._told("kill", names, seconds)
            await kill_and_restart(rig, *names, seconds=seconds)

    def _told(self, fault: str, names: Sequence[str], seconds: float) -> None:
        self.story.append(f"{fault} {' and '.join(names)} for {seconds:.1f} s")
