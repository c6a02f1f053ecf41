"""Create a project in an organization."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.limits import changed_limits
from accounts.domain.objects import Plan, Project
from accounts.domain.plans import ALERTS, alerts_in_force, limits_in_force
from accounts.domain.principal import Principal
from accounts.domain.slugs import alternatives, slug_of
from accounts.outbound.audit import note
from accounts.outbound.limit_columns import parted
from accounts.outbound.outbox import announce
from accounts.outbound.plans import hold_plans
from accounts.outbound.projects import add_project, slug_is_taken
from accounts.use_cases.authorize_caller import authorize
from accounts.use_cases.choose_plan import choose_plan
from accounts.use_cases.context import Context
from common.contracts.directory import DEFAULT_CACHE, DEFAULT_TIER, NO_LIMITS, CachePolicy, Limits, TierPolicy
from common.contracts.identifiers import uuid7
from common.problems import Conflict

FIRST_LIMITS = Limits(version=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProject:
    """What a new project is to be; `limits` by the names of directory.Limits, in tokens and nano-USD, override the plan's."""

    name: str
    slug: str | None = None
    plan_id: str | None = None
    environment: str = ""
    models: list[str] | None = None
    limits: dict[str, int | None] = field(default_factory=dict)
    end_user_limits: dict[str, int | None] = field(default_factory=dict)
    alert_percents: list[int] | None = None
    budget_mode: str = "strict"
    on_no_grant: str = "closed"
    on_unpriced: str = "deny"
    enforcement: str = "hard"
    revoked_streams: str = "cut"
    cache: CachePolicy = DEFAULT_CACHE
    tier: TierPolicy = DEFAULT_TIER
    retention_days: int | None = None

    @property
    def overrides(self) -> dict[str, Any]:
        """What does not follow the plan."""
        return dict(self.limits) if self.alert_percents is None else {**self.limits, ALERTS: self.alert_percents}


async def create_project(context: Context, caller: Principal, organization_id: str, new: NewProject) -> Project:
    """Raises NotFound, Forbidden, Invalid, and Conflict when a slug was asked for that is taken."""
    try:
        async with context.engine.begin() as connection:
            await authorize(connection, caller, "projects.manage", organization_id)
            await hold_plans(connection, organization_id)
            plan = await choose_plan(connection, organization_id, new.plan_id)
            project = await add_project(
                connection,
                id=uuid7(),
                organization_id=organization_id,
                slug=new.slug or await _free_slug(connection, organization_id, new.name),
                **_values(new, plan),
            )
            await announce(connection, project.record())
            await note(connection, caller, "project.created", project.id, organization_id=organization_id, after=project)
    except IntegrityError:
        raise Conflict("A project of this organization has this slug.", field="slug") from None
    return project


def _values(new: NewProject, plan: Plan | None) -> dict[str, Any]:
    in_force = limits_in_force(plan.limits if plan else NO_LIMITS, new.overrides)
    return {
        "name": new.name,
        "plan_id": new.plan_id,
        "environment": new.environment,
        "models": new.models,
        "limit_overrides": new.overrides,
        ALERTS: list(alerts_in_force(plan.alert_percents if plan else (), new.overrides)),
        **parted(msgspec.structs.replace(FIRST_LIMITS, **in_force)),
        "end_user_limits": msgspec.to_builtins(changed_limits(NO_LIMITS, new.end_user_limits)),
        "budget_mode": new.budget_mode,
        "on_no_grant": new.on_no_grant,
        "on_unpriced": new.on_unpriced,
        "enforcement": new.enforcement,
        "revoked_streams": new.revoked_streams,
        "cache": msgspec.to_builtins(new.cache),
        "tier": msgspec.to_builtins(new.tier),
        "retention_days": new.retention_days,
    }


async def _free_slug(connection: AsyncConnection, organization_id: str, name: str) -> str:
    slugs = alternatives(slug_of(name, "project"))
    while await slug_is_taken(connection, organization_id, slug := next(slugs)):
        pass
    return slug
