"""Streams that run on two gateways while something happens to their key."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore
from typing import Any

from tests.e2e.harness import Gateway, Project, World, events

SLOW = {"model": "sim-fault-slow.50", "max_tokens": 100}
ENDLESS = {"model": "sim-fault-slow.1000", "max_tokens": 100}
"""So long that it ends only by being cut."""


def follow(gateway: Gateway, project: Project, fields: dict[str, Any], begun: Semaphore) -> list[dict[str, Any]]:
    """Read a stream to its end, and say when it has begun: what it told."""
    with gateway.stream(project, "A story, please.", **fields) as response:
        told = events(response)
        first = next(told)
        begun.release()
        return [first, *told]


def streams_while(
    world: World, project: Project, fields: dict[str, Any], act: Callable[[], object]
) -> list[list[dict[str, Any]]]:
    """A stream on each gateway, and an act once both have begun: what became of them."""
    begun = Semaphore(0)
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(follow, gateway, project, fields, begun) for gateway in world.gateways[:2]]
        for _ in running:
            assert begun.acquire(timeout=60)
        act()
        return [future.result() for future in running]
