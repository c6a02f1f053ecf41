"""Projects at different points of exhaustion: who owns the limit, in what unit, over what span, and how requests are held."""

from dataclasses import dataclass
from typing import Any

from tests.faults.rig import Rig

HOLD_TOKENS = 300
"""About what one of the small requests holds in strict mode."""

HOLD_NANOUSD = 60_000
END_USER = "somebody"


@dataclass(frozen=True, slots=True)
class Scenario:
    """`worth`: how many small requests the budget covers. `owner`: project | key | member | organization | end_user."""

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
        return {f"{self.span}_{self.unit}": amount}

    def limits_in(self, unit: str) -> int | None:
        """The limit in that unit (tokens | cost_nanousd), if it has one."""
        return self.limits.get(f"{self.span}_{unit}")


SCENARIOS = (
    Scenario("nothing left", 0),
    Scenario("one request", 1),
    Scenario("three in money", 3, unit="cost_nanousd"),
    Scenario("ten", 10),
    Scenario("ten a day", 10, span="daily"),
    Scenario("ten a day in money", 10, span="daily", unit="cost_nanousd"),
    Scenario("forty", 40),
    Scenario("forty in money", 40, unit="cost_nanousd"),
    Scenario("two hundred", 200),
    Scenario("a key's forty", 40, owner="key"),
    Scenario("a member's forty", 40, owner="member"),
    Scenario("an end user's forty", 40, owner="end_user"),
    Scenario("an organization's forty", 40, owner="organization"),
    Scenario("sliced, three", 3, mode="sliced"),
    Scenario("sliced, forty", 40, mode="sliced"),
    Scenario("sliced, two hundred", 200, mode="sliced"),
    Scenario("sliced, forty in money", 40, mode="sliced", unit="cost_nanousd"),
    Scenario("expected, forty", 40, mode="expected"),
)


@dataclass(frozen=True, slots=True)
class Target:
    """A scenario's project and key."""

    scenario: Scenario
    project_id: str
    key: str

    @property
    def end_user(self) -> str | None:
        """On whose behalf its clients ask."""
        return END_USER if self.scenario.owner == "end_user" else None


def make_targets(rig: Rig) -> list[Target]:
    """Fresh projects, known to every gateway."""
    targets = [_make(rig, scenario) for scenario in SCENARIOS]
    for target in targets:
        rig.wait_for_key(target.key)
    return targets


def _make(rig: Rig, scenario: Scenario) -> Target:
    limits, owner = scenario.limits, scenario.owner
    organization = rig.organization_id
    if owner in ("organization", "member"):
        of_all = {"limits": limits} if owner == "organization" else {}
        organization = rig.manage("/organizations", {"name": scenario.name, **of_all})["id"]
    if owner == "member":
        rig.change(f"/organizations/{organization}/members/{rig.user_id}", {"limits": limits})
    fields: dict[str, Any] = {"name": scenario.name, "budget_mode": scenario.mode}
    if owner == "project":
        fields["limits"] = limits
    elif owner == "end_user":
        fields["end_user_limits"] = limits
    project = rig.manage(f"/organizations/{organization}/projects", fields)["id"]
    key = rig.manage(f"/projects/{project}/keys", {"name": "crowd", **({"limits": limits} if owner == "key" else {})})
    return Target(scenario, project, key["key"])
