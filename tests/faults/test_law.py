"""Real processes die under load: whatever dies, the law holds once all is back and quiet."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable

import pytest

from common.contracts.subjects import REQUESTS_STREAM
from tests.faults.conftest import Tell
from tests.faults.load import Load
from tests.faults.nemesis import RESTART_ORDER, Campaign, kill_and_restart, until_busy
from tests.faults.oracle import Evidence, gather, judge
from tests.faults.quiet import wait_until_quiet
from tests.faults.rig import Project, Rig
from tests.faults.spools import read_spools
from tests.faults.verdict import Verdict, assert_law

SEED = int(os.environ.get("LAW_SEED") or 20261123)
SECONDS = float(os.environ.get("LAW_SECONDS") or 18)
RATE = float(os.environ.get("LAW_RATE") or 40)
QUIET_SECONDS = 100.0
ADOPTED_SECONDS = 60.0
MIXED_SECONDS = 60.0
FAR_FROM_LIMITS = ("unlimited", "roomy")
NOBODY_GRANTED = "503 budget_unavailable"
ROOMY_TOKENS, ROOMY_NANOUSD = 50_000_000, 50_000_000_000

pytestmark = [pytest.mark.faults, pytest.mark.timeout(SECONDS + 400)]

Nemesis = Callable[[], Awaitable[None]]


async def prove(rig: Rig, nemesis: Nemesis, tell: Tell) -> tuple[Load, Verdict]:
    """Load fresh projects, let the nemesis do its work, let everything come to rest, and judge all that ever happened on the rig."""
    projects = await asyncio.to_thread(_make_projects, rig)
    load = Load(tuple(rig.gateways.values()), projects, RATE, random.Random(SEED))
    running = asyncio.create_task(load.run())
    try:
        await asyncio.sleep(1.5)
        await _until(lambda: all(load.by_project[name, "200"] > 10 for name in FAR_FROM_LIMITS))
        for name in FAR_FROM_LIMITS:
            load.by_project.pop((name, NOBODY_GRANTED), None)  # only the very first grant may be late
        await nemesis()
        await asyncio.sleep(1.5)
        await _until(lambda: _is_mixed(load))
    finally:
        load.stop()
        await running
    rig.answered |= load.answered
    took = await asyncio.to_thread(wait_until_quiet, rig, seconds=QUIET_SECONDS)
    evidence = await asyncio.to_thread(gather, rig)
    verdict = judge(evidence, answered=rig.answered, limited=_limited(projects))
    outcomes = ", ".join(f"{count} × {outcome}" for outcome, count in load.outcomes.most_common())
    tell(f"seed {SEED}; {outcomes}; quiet after {took:.1f} s\n{verdict.table()}\n")
    assert_law(verdict)
    _assert_load_was_mixed(load)
    _assert_nobody_hoards(evidence)
    rig.is_sound = True
    return load, verdict


def _make_projects(rig: Rig) -> list[Project]:
    return [
        rig.new_project("unlimited", {}),
        rig.new_project("roomy", {"monthly_tokens": ROOMY_TOKENS, "monthly_cost_nanousd": ROOMY_NANOUSD}),
        rig.new_project("tight tokens", {"monthly_tokens": 4_000}),
        rig.new_project("tight cost", {"monthly_cost_nanousd": 3_000_000}),
        rig.new_project("tight day", {"daily_tokens": 4_000}),
    ]


def _limited(projects: list[Project]) -> dict[str, str]:
    return {one.project_id: one.name for one in projects if one.monthly_tokens or one.monthly_cost_nanousd or one.daily_tokens}


async def _until(true: Callable[[], bool]) -> None:
    """Or until it is late: what did not come to be is found out afterwards."""
    over = asyncio.get_running_loop().time() + MIXED_SECONDS
    while not true() and asyncio.get_running_loop().time() < over:
        await asyncio.sleep(0.05)


def _is_mixed(load: Load) -> bool:
    """Whether every sort of outcome that a scenario is to have has been seen."""
    served = all(load.by_project[name, "200"] > 3 for name in FAR_FROM_LIMITS)
    return served and load.outcomes["left"] > 0 and load.by_project["tight tokens", "429 insufficient_quota"] > 0


def _assert_load_was_mixed(load: Load) -> None:
    assert _is_mixed(load), (load.outcomes, load.by_project)
    for name in FAR_FROM_LIMITS:
        assert not load.by_project[name, "429 insufficient_quota"], load.by_project


def _assert_nobody_hoards(evidence: Evidence) -> None:
    """However long budget could not be had: what was granted stays in proportion to what is spent."""
    for row in evidence.books.obligations:
        for unit, limit in (("tokens", row["limit_tokens"]), ("nanousd", row["limit_nanousd"])):
            if limit is not None and limit >= ROOMY_TOKENS:
                assert row[unit] < limit / 5, f"a project far from its limit: {row[unit]} of {limit} {unit} are promised"


def _assert_granted_ahead(load: Load) -> None:
    """While no budget can be had, what has no limit or is far from it notices nothing."""
    for name in FAR_FROM_LIMITS:
        assert not load.by_project[name, NOBODY_GRANTED], load.by_project


async def test_a_killed_gateway_costs_nothing_but_its_holds(rig: Rig, tell: Tell) -> None:
    """What was under way is booked at its hold and flagged; everything else to the token."""

    async def nemesis() -> None:
        await until_busy(rig, "gateway")
        await kill_and_restart(rig, "gateway", seconds=0.5)
        await asyncio.sleep(1)
        await until_busy(rig, "gateway-2")
        await kill_and_restart(rig, "gateway-2", seconds=0)

    _, verdict = await prove(rig, nemesis, tell)
    assert any(name.startswith("estimated: aborted") for name in verdict.tallies), verdict.table()


async def test_a_killed_usage_worker_books_nothing_twice(rig: Rig, tell: Tell) -> None:
    """What it had in hand comes again, and requests go on meanwhile."""

    async def nemesis() -> None:
        for _ in range(3):
            await kill_and_restart(rig, "usage", seconds=0.5)
            await asyncio.sleep(0.7)

    load, _ = await prove(rig, nemesis, tell)
    _assert_granted_ahead(load)


async def test_a_killed_bus_loses_nothing(rig: Rig, tell: Tell) -> None:
    """Events wait in the spool and are shipped when it is back; what has no limit or was granted is served."""

    async def nemesis() -> None:
        await kill_and_restart(rig, "nats", seconds=2)
        await asyncio.sleep(1)
        await kill_and_restart(rig, "nats", seconds=0)

    load, _ = await prove(rig, nemesis, tell)
    _assert_granted_ahead(load)


async def test_a_killed_database_loses_nothing(rig: Rig, tell: Tell) -> None:
    """Events wait on the bus and are booked when it is back; what has no limit or was granted is served."""

    async def nemesis() -> None:
        await kill_and_restart(rig, "postgres", seconds=2)
        await asyncio.sleep(1)
        await kill_and_restart(rig, "postgres", seconds=0)

    load, _ = await prove(rig, nemesis, tell)
    _assert_granted_ahead(load)


async def test_a_neighbour_takes_over_what_a_dead_gateway_left(rig: Rig, tell: Tell) -> None:
    """A gateway that does not come back is booked to the end and closed by one that lives beside it."""

    async def nemesis() -> None:
        await asyncio.to_thread(rig.kill, "gateway")
        left = set(read_spools(rig.spool))
        over = asyncio.get_running_loop().time() + ADOPTED_SECONDS
        while len(left & read_spools(rig.spool).keys()) > 1:
            assert asyncio.get_running_loop().time() < over, f"{left} are still in the spool after {ADOPTED_SECONDS:.0f} s"
            await asyncio.sleep(0.2)
        await asyncio.to_thread(rig.restart, "gateway")

    await prove(rig, nemesis, tell)


async def test_everything_dies_at_once(rig: Rig, tell: Tell) -> None:
    """As when a machine stops: whatever was written down before is found again by what starts after."""
    await prove(rig, lambda: kill_and_restart(rig, *RESTART_ORDER, seconds=0.5), tell)


async def test_a_killed_provider_is_not_paid_less_than_it_billed(rig: Rig, tell: Tell) -> None:
    """Answers that it broke off are booked at their hold, and what it had written down outlives it."""

    async def nemesis() -> None:
        await asyncio.to_thread(rig.kill, "provider")
        await asyncio.sleep(0.5)
        await asyncio.to_thread(rig.restart, "provider")

    await prove(rig, nemesis, tell)


async def test_a_bus_that_lost_its_disk_is_filled_again(rig: Rig, tell: Tell) -> None:
    """Gateways ship again what usage has not committed, and accounts fills the directory: gateways that know nothing learn all keys."""
    lost = 0

    async def nemesis() -> None:
        nonlocal lost
        await asyncio.to_thread(rig.kill, "usage")
        async with asyncio.timeout(60):
            while not (lost := await rig.count_messages(REQUESTS_STREAM)):
                await asyncio.sleep(0.2)
        await asyncio.to_thread(rig.wipe_nats)
        await asyncio.to_thread(rig.restart, "usage")

    load, _ = await prove(rig, nemesis, tell)
    assert lost, "the bus held nothing when it was wiped"
    rig.is_sound = False
    late = await asyncio.to_thread(rig.new_project, "made after the loss", {})
    rig.kill("gateway")
    rig.forget_directory()
    await asyncio.to_thread(rig.restart, "gateway")
    for project in (*load.projects, late):
        await asyncio.to_thread(rig.wait_for_key, project.key)
    rig.is_sound = True


async def test_a_random_campaign(rig: Rig, tell: Tell) -> None:
    """Parts are killed, stopped and paused in any order, also two at a time. LAW_SEED and LAW_SECONDS widen it."""
    campaign = Campaign(SEED)
    try:
        await prove(rig, lambda: campaign.run(rig, seconds=SECONDS), tell)
    finally:
        tell(f"seed {SEED}: {', '.join(campaign.story)}")
