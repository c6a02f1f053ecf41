"""Five hundred clients at nearly empty budgets, four gateways, and deaths in the middle: no budget is spent beyond its stated bound."""

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.budgets.account import HEAD, draw_up, holds_left
from tests.budgets.crowd import EXPECTED, Crowd
from tests.budgets.scenarios import make_targets
from tests.faults.nemesis import kill_and_restart
from tests.faults.oracle import gather, judge
from tests.faults.quiet import wait_until_quiet
from tests.faults.rig import Rig

ROUNDS = int(os.environ.get("BUDGET_ROUNDS") or 3)
SEED = int(os.environ.get("BUDGET_SEED") or 20261124)
CLIENTS = 500
SECONDS = 9.0
MOST_SECONDS = 60.0
QUIET_SECONDS = 120.0
GATEWAYS = 4
ROUNDS_PER_RIG = 10
"""The provider's list of calls is read as a whole."""

pytestmark = [pytest.mark.budgets, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def rigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Rigs"]:
    """One rig at a time."""
    made = Rigs(tmp_path_factory)
    yield made
    made.close()


class Rigs:
    """Hands out the running rig, and another after some rounds or when the last round on it did not end well."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._rig: Rig | None = None
        self._rounds = 0

    def take(self) -> Rig:
        """A rig in which everything runs."""
        if self._rig is None or not self._rig.is_sound or self._rounds >= ROUNDS_PER_RIG:
            self.close()
            folder: Path = self._factory.mktemp("budgets") / "state"
            self._rig, self._rounds = Rig(folder, pace_ms=2.0, gateways=GATEWAYS), 0
            self._rig.start()
        self._rounds += 1
        self._rig.is_sound = False
        return self._rig

    def close(self) -> None:
        """Stop what runs."""
        if self._rig is not None:
            self._rig.parts.stop()
            self._rig.state.close()
            self._rig = None


async def _deaths(rig: Rig, draw: random.Random) -> list[str]:
    """Some parts are killed in the middle and started again; said in order."""
    story = []
    for _ in range(draw.randint(1, 3)):
        await asyncio.sleep(draw.uniform(0.5, 2.0))
        name = draw.choice((*rig.gateways, *rig.gateways, "usage", "nats"))
        story.append(name)
        await kill_and_restart(rig, name, seconds=draw.uniform(0, 1.0))
    return story


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_no_crowd_spends_a_budget_beyond_its_bound(rigs: Rigs, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Strict: not by a token; sliced: a slice for every stream under way. No spend is lost, and no hold is left when all is quiet."""
    seed = SEED + number
    rig = await asyncio.to_thread(rigs.take)
    targets = await asyncio.to_thread(make_targets, rig)
    crowd = Crowd(tuple(rig.gateways.values()), targets, seed)
    running = asyncio.create_task(crowd.run(CLIENTS, SECONDS, at_most=MOST_SECONDS))
    try:
        story = await _deaths(rig, random.Random(seed))
    finally:
        await running
    rig.answered |= crowd.answered
    await asyncio.to_thread(wait_until_quiet, rig, seconds=QUIET_SECONDS)
    evidence = await asyncio.to_thread(gather, rig)
    verdict = judge(evidence, answered=rig.answered)
    sheets = draw_up(targets, evidence)
    with capsys.disabled():
        told = "\n".join(sheet.line() for sheet in sheets)
        seen = Counter(outcome for (_, outcome), count in crowd.outcomes.items() for _ in range(count))
        said = ", ".join(f"{count} × {outcome}" for outcome, count in seen.most_common())
        sys.stdout.write(f"\nround {number + 1} of {ROUNDS}, seed {seed}, killed: {', '.join(story)}; {said}\n{HEAD}\n{told}\n")
    assert not verdict.broken, verdict.broken[:10]
    assert not [breach for sheet in sheets for breach in sheet.breaches]
    assert not await asyncio.to_thread(holds_left, rig, targets)
    assert seen.keys() <= EXPECTED, seen.keys() - EXPECTED
    assert not [sheet.target.scenario.name for sheet in sheets if sheet.served and not sheet.target.scenario.worth]
    assert len(crowd.exhausted) > len(targets) // 2, "a bound that nobody comes near is none"
    rig.is_sound = True
