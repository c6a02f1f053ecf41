"""Which budget an event says to have refused it."""

from typing import Any

import pytest

from tests.integration.usage.gateway_side import make_refusal
from usage.domain.refusals import refused_needs


def refused(limit: str, needed: int = 7, **changes: Any) -> Any:
    owner = {"organization_id": "o", "key_id": "k", "owner_id": "m", "end_user": "a/b"}
    return make_refusal("p", "boot", limit, needed, period_day="2026-11-30", period_month="2026-11", **owner, **changes)


@pytest.mark.parametrize(
    ("limit", "budget"),
    [
        ("organization.monthly_cost", ("organization", "o", "2026-11", "nanousd")),
        ("project.daily_tokens", ("project", "p", "2026-11-30", "tokens")),
        ("key.daily_cost", ("key", "k", "2026-11-30", "nanousd")),
        ("member.monthly_tokens", ("member", "o/m", "2026-11", "tokens")),
        ("end_user.daily_tokens", ("end_user", "p/a/b", "2026-11-30", "tokens")),
    ],
)
def test_a_refusal_names_its_budget(limit: str, budget: tuple[str, ...]) -> None:
    """Owner and period are the event's own."""
    assert refused_needs([refused(limit)]) == {budget: {7}}


@pytest.mark.parametrize(
    "limit", ["", "project", "end_user", "key.requests_per_minute", "project.weekly_tokens", "team.daily_cost"]
)
def test_what_names_no_budget_is_passed_over(limit: str) -> None:
    """Of whatever version the gateway is."""
    assert refused_needs([refused(limit)]) == {}


def test_only_refusals_by_budgets_are_looked_at() -> None:
    """A stream that a budget has ended is one, too; one that nobody could be asked for is not."""
    events = [
        refused("project.daily_tokens", 1, error_code="budget_unavailable"),
        refused("project.daily_tokens", 2, error_code=None, status="ok"),
        refused("project.daily_tokens", 3, status="upstream_cut"),
        refused("project.daily_tokens", 4),
        refused("project.daily_tokens", 4),
    ]
    assert list(refused_needs(events).values()) == [{3, 4}]
