"""A gateway that is gone for ever: what it was granted stays promised until an operator says so. And one that comes back."""

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.harness import Gateway, Project, World
from tests.e2e.running_stack import eventually

LIMIT = 10_000
LITTLE = {"model": "sim-fast-1", "max_tokens": 40}
NEARLY_ALL = {"model": "sim-fast-1", "max_tokens": 9_000}


@pytest.fixture
def pair(world: World) -> Iterator[tuple[Gateway, Gateway]]:
    """Two gateways that do not wait for long."""
    with ExitStack() as ended:
        found = [world.add_gateway(ended, GRANT_WAIT_MS="500") for _ in range(2)]
        yield found[0], found[1]
        for gateway in found:
            world.gateways.remove(gateway)


def boot_of(world: World, gateway: Gateway) -> str:
    """The newest of those that `usage boots` lists for it."""
    listed = [json.loads(line) for line in world.usage_command("boots").stdout.splitlines()]
    return max(one["boot"] for one in listed if f"-{gateway.port}-" in one["gateway"] and one["unspent"])


def held_project(world: World, holder: Gateway) -> Project:
    """A project of whose budget that gateway holds a part."""
    project = world.new_project(tokens=LIMIT)
    assert holder.chat(project, **LITTLE).status == 200
    return project


def test_what_a_dead_gateway_was_granted_comes_back_by_the_operators_word_alone(
    world: World, pair: tuple[Gateway, Gateway]
) -> None:
    """Killed with its disk, it is not asked again: its grant counts as held until it is released; then others spend it."""
    other, dead = pair
    project = held_project(world, dead)
    boot = boot_of(world, dead)
    dead.process.kill()
    refused = other.chat(project, **NEARLY_ALL)
    assert (refused.status, refused.json["error"]["code"]) == (429, "insufficient_quota")
    assert refused.json["error"]["held"] > 0

    too_early = world.usage_command("release", "--boot", boot)
    assert (too_early.returncode, too_early.stdout) == (1, "")
    assert "add --force" in too_early.stderr
    released = world.usage_command("release", "--boot", boot, "--force")
    assert released.returncode == 0, released.stderr
    given_back = {one["scope_id"]: one["released_tokens"] for one in json.loads(released.stdout)}
    assert given_back[project.id] > 0, given_back
    assert other.chat(project, **NEARLY_ALL).status == 200


def test_a_gateway_that_was_released_and_lives_spends_nothing_more_and_stops(world: World, pair: tuple[Gateway, Gateway]) -> None:
    """At its next ask it hears that its boot is closed: not ready any more, and gone with exit code 0; anew it works."""
    _, released = pair
    project = held_project(world, released)
    assert world.usage_command("release", "--boot", boot_of(world, released), "--force").returncode == 0
    assert released.chat(project, **NEARLY_ALL).status == 503
    eventually(lambda: not released.process.running)
    assert released.process.exit_code == 0
    released.start()
    assert released.chat(project, **LITTLE).status == 200
