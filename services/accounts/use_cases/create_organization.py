"""Create an organization; the caller becomes its owner."""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.limits import changed_limits
from accounts.domain.objects import Organization
from accounts.domain.principal import Principal
from accounts.domain.slugs import alternatives, slug_of
from accounts.outbound.audit import note
from accounts.outbound.limit_columns import parted
from accounts.outbound.members import add_member
from accounts.outbound.organizations import add_organization, slug_is_taken
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_caller import authorize_user
from accounts.use_cases.context import Context
from common.contracts.directory import NO_LIMITS
from common.contracts.identifiers import uuid7
from common.problems import Conflict


async def create_organization(
    context: Context,
    caller: Principal,
    *,
    name: str,
    slug: str | None = None,
    time_zone: str = "UTC",
    max_staleness_seconds: int = 300,
    limits: Mapping[str, int | None] | None = None,
    end_user_limits: Mapping[str, int | None] | None = None,
    alert_percents: Sequence[int] = (),
) -> Organization:
    """The new organization; limits by the names of directory.Limits. Raises Conflict when a slug was asked for that is taken."""
    try:
        async with context.engine.begin() as connection:
            await authorize_user(connection, caller)
            organization = await add_organization(
                connection,
                id=uuid7(),
                name=name,
                slug=slug or await _free_slug(connection, name),
                time_zone=time_zone,
                max_staleness_seconds=max_staleness_seconds,
                **parted(changed_limits(NO_LIMITS, limits or {})),
                end_user_limits=msgspec.to_builtins(changed_limits(NO_LIMITS, end_user_limits or {})),
                alert_percents=list(alert_percents),
            )
            member = await add_member(connection, caller.subject, organization.id, "owner")
            await announce(connection, organization.record())
            await announce(connection, member.record())
            await note(
                connection, caller, "organization.created", organization.id, organization_id=organization.id, after=organization
            )
    except IntegrityError:
        raise Conflict("An organization with this slug exists.", field="slug") from None
    return organization


async def _free_slug(connection: AsyncConnection, name: str) -> str:
    slugs = alternatives(slug_of(name, "organization"))
    while await slug_is_taken(connection, slug := next(slugs)):
        pass
    return slug
