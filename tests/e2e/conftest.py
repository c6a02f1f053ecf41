"""One stack for all end-to-end tests that leave it as they found it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import World
from tests.e2e.running_stack import RunningStack, environment, free_ports


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Started once, by `make up DETACH=1`; make your own project (`stack.new_project()`) and leave its processes alone."""
    state = tmp_path_factory.mktemp("stack") / "state"
    running = RunningStack(state, environment(state, **free_ports()))
    done = running.make("up", "DETACH=1")
    assert done.returncode == 0, done.stdout + done.stderr
    running.printed = done.stdout
    yield running
    assert running.make("down").returncode == 0


@pytest.fixture
def make_stack(tmp_path: Path) -> Iterator[Callable[..., RunningStack]]:
    """Makes stacks that are not started yet, for tests that start, kill or configure them; all are stopped at the end."""
    made: list[RunningStack] = []

    def make(gateways: int = 1, **variables: str) -> RunningStack:
        state = tmp_path / f"state-{len(made)}"
        ports = free_ports(gateways)
        made.append(RunningStack(state, environment(state, **{**ports, "GATEWAYS": str(gateways), **variables})))
        return made[-1]

    yield make
    for running in made:
        running.devstack("down")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two gateways with short patience, for tests that make projects of their own and leave the processes alone."""
    with World(tmp_path_factory.mktemp("world"), gateways=2) as running:
        yield running
