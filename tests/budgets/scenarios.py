"""Projects at different points of exhaustion: who owns the limit, in what unit, over what span, and how requests are held."""

from dataclasses import dataclass
from typing import Any

from tests.faults.rig import Rig

HOLD_TOKENS = 300
"""About what one of the small requests holds in strict mode."""

HOLD_NANOUSD = 60_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """`worth`: how many small requests the budget covers. `owner`: project | key | organization."""

    name: str
    worth: int
    mode: str = "strict"
    unit: str = "tokens"
    span: str = "monthly"
    owner: str = "project"

    @property
    def limits(self) -> dict[str, int]:
        """By the API's names."""
        amount = self.worth * (HOLD_TOKENS if self.unit == "tokens" else HOLD_NANOUSD)
        return {f"{self.span}_{self.unit if self.unit == 'tokens' else 'cost_nanousd'}": amount}


SCENARIOS = (
    Scenario("nothing left", 0),
    Scenario("one request", 1),
    Scenario("three", 3, unit="nanousd"),
    Scenario("ten", 10),
    Scenario("ten a day", 10, span="daily"),
    Scenario("forty", 40),
    Scenario("forty in money", 40, unit="nanousd"),
    Scenario("two hundred", 200),
    Scenario("a key's forty", 40, owner="key"),
    Scenario("an organization's forty", 40, owner="organization"),
    Scenario("sliced, three", 3, mode="sliced"),
    Scenario("sliced, forty", 40, mode="sliced"),
    Scenario("sliced, forty in money", 40, mode="sliced", unit="nanousd"),
    Scenario("expected, forty", 40, mode="expected"),
)


@dataclass(frozen=True, slots=True)
class Target:
    """A scenario's project and key, and the scope and id that its limit is kept under."""

    scenario: Scenario
    project_id: str
    key: str
    scope: str
    scope_id: str


def make_targets(rig: Rig) -> list[Target]:
    """Fresh projects, known to every gateway."""
    targets = [_make(rig, scenario) for scenario in SCENARIOS]
    for target in targets:
        rig.wait_for_key(target.key)
    return targets


def _make(rig: Rig, scenario: Scenario) -> Target:
    organization = rig.organization_id
    if scenario.owner == "organization":
        organization = rig.manage("/organizations", {"name": scenario.name, "limits": scenario.limits})["id"]
    fields: dict[str, Any] = {"name": scenario.name, "budget_mode": scenario.mode}
    if scenario.owner == "project":
        fields["limits"] = scenario.limits
    project = rig.manage(f"/organizations/{organization}/projects", fields)["id"]
    key = rig.manage(
        f"/projects/{project}/keys", {"name": "crowd", **({"limits": scenario.limits} if scenario.owner == "key" else {})}
    )
    scope_id = {"project": project, "key": key["id"], "organization": organization}[scenario.owner]
    return Target(scenario, project, key["key"], scenario.owner, scope_id)
