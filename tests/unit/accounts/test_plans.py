"""Plans as a law: what is in force, and a version that never falls."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.objects import Plan, Project
from accounts.domain.plans import ALERTS, above, alerts_in_force, changed_overrides, limits_in_force, on_plan
from common.contracts.directory import LIMIT_NAMES, NO_LIMITS, Limits

AMOUNTS = st.none() | st.integers(0, 5)
NAMED = st.dictionaries(st.sampled_from(LIMIT_NAMES), AMOUNTS)
ALERT_LISTS = st.lists(st.integers(1, 200), max_size=3)
MOMENT = datetime(2026, 11, 1, tzinfo=UTC)


@st.composite
def overrides(draw: st.DrawFn) -> dict[str, Any]:
    """Limits by name, and perhaps alerts."""
    named: dict[str, Any] = dict(draw(NAMED))
    return {**named, ALERTS: draw(ALERT_LISTS)} if draw(st.booleans()) else named


@st.composite
def plans(draw: st.DrawFn) -> Plan | None:
    """A plan of any limits and any version, or none."""
    if draw(st.booleans()):
        return None
    limits = Limits(version=draw(st.integers(0, 9)), **draw(NAMED))
    alerts = tuple(draw(ALERT_LISTS))
    return Plan(
        id="p",
        organization_id="o",
        name="P",
        limits=limits,
        alert_percents=alerts,
        version=1,
        created_at=MOMENT,
        updated_at=MOMENT,
    )


def make_project(limits: Limits, own: dict[str, Any]) -> Project:
    return Project(
        id="x",
        organization_id="o",
        name="X",
        slug="x",
        status="active",
        models=None,
        limits=limits,
        limit_overrides=own,
        budget_mode="strict",
        on_no_grant="closed",
        revoked_streams="cut",
        retention_days=None,
        version=1,
        created_at=MOMENT,
        updated_at=MOMENT,
    )


@given(plan=NAMED, own=overrides())
def test_an_override_wins_and_everything_else_follows_the_plan(plan: dict[str, int | None], own: dict[str, Any]) -> None:
    """Every limit is named, once; an override of None is no limit even where the plan has one."""
    limits = limits_in_force(Limits(version=3, **plan), own)
    assert tuple(limits) == LIMIT_NAMES
    for name in LIMIT_NAMES:
        assert limits[name] == (own[name] if name in own else plan.get(name))


@given(plan=ALERT_LISTS, own=overrides())
def test_alerts_follow_the_plan_until_they_are_overridden(plan: list[int], own: dict[str, Any]) -> None:
    """No alerts of one's own is an override too."""
    assert alerts_in_force(tuple(plan), own) == tuple(own.get(ALERTS, plan))


@given(path=st.lists(st.tuples(plans(), overrides()), max_size=8))
def test_the_limits_version_rises_exactly_with_a_change(path: list[tuple[Plan | None, dict[str, Any]]]) -> None:
    """Whatever plans of whatever versions a project goes through: it never falls, and equal limits keep it."""
    project = make_project(NO_LIMITS, {})
    for plan, own in path:
        before = project
        project = on_plan(msgspec.structs.replace(before, limit_overrides=own), plan)
        same = all(getattr(before.limits, name) == getattr(project.limits, name) for name in LIMIT_NAMES)
        assert project.limits.version == before.limits.version + (0 if same else 1)
        again = on_plan(project, plan)
        assert again == project, "the rule applied twice is the rule applied once"


@given(present=overrides(), given_=overrides(), dropped=st.sets(st.sampled_from((*LIMIT_NAMES, ALERTS))))
def test_a_dropped_override_is_gone_and_the_others_stay(
    present: dict[str, Any], given_: dict[str, Any], dropped: set[str]
) -> None:
    """What is given counts, what is dropped follows the plan, what is neither stays."""
    after = changed_overrides(present, given_, dropped)
    for name in (*LIMIT_NAMES, ALERTS):
        if name in dropped:
            assert name not in after
        elif name in given_:
            assert after[name] == given_[name]
        else:
            assert after.get(name, "follows") == present.get(name, "follows")


@given(limits=NAMED, ceiling=NAMED)
def test_only_what_exceeds_a_ceiling_is_above_it(limits: dict[str, int | None], ceiling: dict[str, int | None]) -> None:
    """No limit of one's own is never above: then the ceiling's counts."""
    named = above(Limits(**limits), Limits(**ceiling))
    for name in LIMIT_NAMES:
        value, highest = limits.get(name), ceiling.get(name)
        assert (name in named) == (value is not None and highest is not None and value > highest)
