"""Whose budgets a request counts against: project, key, the member who owns it, organization, end user; data, not code."""

from dataclasses import dataclass

from common.contracts.directory import (
    NO_LIMITS,
    Enforcement,
    KeyRecord,
    Limits,
    MemberRecord,
    OrganizationRecord,
    ProjectRecord,
)
from common.contracts.grants import ScopeName
from gateway.domain.caller import Caller, Record

MONTH_LENGTH = len("2026-11")


@dataclass(frozen=True, slots=True)
class BudgetScope:
    """One owner of limits, and what its limits do."""

    name: ScopeName
    scope_id: str
    limits: Limits
    enforcement: Enforcement


def budget_scopes(caller: Caller, end_user: str | None) -> tuple[BudgetScope, ...]:
    """All that a request counts against, with limits or without: a limit that is set later counts what was spent before.

    End users are the exception: there are any number of them, so they are counted from when they have a limit on.
    """
    project, organization, key = caller.project, caller.organization, caller.key
    scopes = [
        BudgetScope("project", project.project_id, project.limits, project.enforcement),
        BudgetScope("key", key.key_id, key.limits, project.enforcement),
        BudgetScope("organization", organization.organization_id, organization.limits, organization.enforcement),
    ]
    if key.owner_id is not None:
        limits = caller.owner.limits if caller.owner is not None else NO_LIMITS
        scopes.append(BudgetScope("member", f"{organization.organization_id}/{key.owner_id}", limits, organization.enforcement))
    if end_user is not None and caller.counts_end_users:
        limits = combined(project.end_user_limits, organization.end_user_limits)
        scopes.append(BudgetScope("end_user", f"{project.project_id}/{end_user}", limits, project.enforcement))
    return tuple(scopes)


def scope_of_record(record: Record) -> BudgetScope:
    """The scope whose limits a record carries; what they do is the project's or organization's to say, hard until it is known."""
    match record:
        case ProjectRecord():
            return BudgetScope("project", record.project_id, record.limits, record.enforcement)
        case OrganizationRecord():
            return BudgetScope("organization", record.organization_id, record.limits, record.enforcement)
        case KeyRecord():
            return BudgetScope("key", record.key_id, record.limits, "hard")
        case MemberRecord():
            return BudgetScope("member", f"{record.organization_id}/{record.member_id}", record.limits, "hard")


def combined(first: Limits, second: Limits) -> Limits:
    """The smaller of two limits, unit by unit; the sum of the versions rises whenever either does."""

    def smaller(a: int | None, b: int | None) -> int | None:
        return b if a is None else a if b is None else min(a, b)

    return Limits(
        version=first.version + second.version,
        monthly_tokens=smaller(first.monthly_tokens, second.monthly_tokens),
        monthly_cost_nanousd=smaller(first.monthly_cost_nanousd, second.monthly_cost_nanousd),
        daily_tokens=smaller(first.daily_tokens, second.daily_tokens),
        daily_cost_nanousd=smaller(first.daily_cost_nanousd, second.daily_cost_nanousd),
        requests_per_minute=smaller(first.requests_per_minute, second.requests_per_minute),
        tokens_per_minute=smaller(first.tokens_per_minute, second.tokens_per_minute),
        concurrency=smaller(first.concurrency, second.concurrency),
    )


def limits_of_period(limits: Limits, period: str) -> tuple[int | None, int | None]:
    """(tokens, nano-USD) of a month or a day."""
    if len(period) == MONTH_LENGTH:
        return limits.monthly_tokens, limits.monthly_cost_nanousd
    return limits.daily_tokens, limits.daily_cost_nanousd
