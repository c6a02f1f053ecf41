"""Create a project in an organization."""

from dataclasses import dataclass, field

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Project
from accounts.domain.principal import Principal
from accounts.domain.slugs import alternatives, slug_of
from accounts.outbound.audit import note
from accounts.outbound.outbox import announce
from accounts.outbound.projects import add_project, slug_is_taken
from accounts.use_cases.authorize_caller import authorize
from accounts.use_cases.context import Context
from common.contracts.directory import DEFAULT_CACHE, DEFAULT_TIER, CachePolicy, TierPolicy
from common.contracts.identifiers import uuid7
from common.problems import Conflict


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProject:
    """What a new project is to be; `limits` by the names of directory.Limits, in tokens and nano-USD."""

    name: str
    slug: str | None = None
    models: list[str] | None = None
    limits: dict[str, int | None] = field(default_factory=dict)
    budget_mode: str = "strict"
    on_no_grant: str = "closed"
    revoked_streams: str = "cut"
    cache: CachePolicy = DEFAULT_CACHE
    tier: TierPolicy = DEFAULT_TIER
    retention_days: int | None = None


async def create_project(context: Context, caller: Principal, organization_id: str, new: NewProject) -> Project:
    """Raises NotFound, Forbidden, and Conflict when a slug was asked for that is taken."""
    try:
        async with context.engine.begin() as connection:
            await authorize(connection, caller, "projects.manage", organization_id)
            project = await add_project(
                connection,
                id=uuid7(),
                organization_id=organization_id,
                name=new.name,
                slug=new.slug or await _free_slug(connection, organization_id, new.name),
                models=new.models,
                limits=new.limits,
                limits_version=1,
                budget_mode=new.budget_mode,
                on_no_grant=new.on_no_grant,
                revoked_streams=new.revoked_streams,
                cache=msgspec.to_builtins(new.cache),
                tier=msgspec.to_builtins(new.tier),
                retention_days=new.retention_days,
            )
            await announce(connection, project.record())
            await note(connection, caller, "project.created", project.id, organization_id=organization_id, after=project)
    except IntegrityError:
        raise Conflict("A project of this organization has this slug.", field="slug") from None
    return project


async def _free_slug(connection: AsyncConnection, organization_id: str, name: str) -> str:
    slugs = alternatives(slug_of(name, "project"))
    while await slug_is_taken(connection, organization_id, slug := next(slugs)):
        pass
    return slug
