"""Plans: which limits and alerts a project has in force, of those its plan gives it and those of its own that override them."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from accounts.domain.limits import changed_limits
from accounts.domain.objects import Plan, Project
from common.contracts.directory import LIMIT_NAMES, NO_LIMITS, Limits

ALERTS = "alert_percents"
"""The one override that is no limit."""

Overrides = Mapping[str, Any]
"""By the names of directory.Limits, and ALERTS; a name that is missing follows the plan."""


def limits_in_force(plan: Limits, overrides: Overrides) -> dict[str, int | None]:
    """Every limit by its name: the project's own where there is one (None = no limit, whatever the plan says), else the plan's."""
    return {name: overrides[name] if name in overrides else getattr(plan, name) for name in LIMIT_NAMES}


def alerts_in_force(plan: tuple[int, ...], overrides: Overrides) -> tuple[int, ...]:
    """The project's own alerts if it has any say in them, else the plan's."""
    return tuple(overrides[ALERTS]) if ALERTS in overrides else plan


def on_plan(project: Project, plan: Plan | None) -> Project:
    """The project with the limits and alerts that its plan (None = it has none) and its overrides put in force.

    The version of the limits rises if any of them differs, and never falls, whatever the plan's own is.
    """
    in_force = limits_in_force(plan.limits if plan else NO_LIMITS, project.limit_overrides)
    return msgspec.structs.replace(
        project,
        limits=changed_limits(project.limits, in_force),
        alert_percents=alerts_in_force(plan.alert_percents if plan else (), project.limit_overrides),
    )


def changed_overrides(present: Overrides, given: Overrides, dropped: Collection[str]) -> dict[str, Any]:
    """The overrides with some set anew and others dropped; a dropped name follows the plan again."""
    return {name: value for name, value in {**present, **given}.items() if name not in dropped}


def above(limits: Limits, ceiling: Limits) -> list[str]:
    """The names of the limits that are higher than a ceiling's; where the ceiling has none, nothing is too high."""
    return [name for name in LIMIT_NAMES if _is_above(getattr(limits, name), getattr(ceiling, name))]


def _is_above(value: int | None, ceiling: int | None) -> bool:
    return value is not None and ceiling is not None and value > ceiling
