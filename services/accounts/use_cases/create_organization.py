"""Create an organization; the caller becomes its owner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrganization:
    """What a new organization is to be; limits by the names of directory.Limits."""

    name: str
    slug: str | None = None
    time_zone: str = "UTC"
    max_staleness_seconds: int = 300
    limits: Mapping[str, int | None] = field(default_factory=dict)
    end_user_limits: Mapping[str, int | None] = field(default_factory=dict)
    alert_percents: Sequence[int] = ()
    enforcement: str = "hard"


async def create_organization(context: Context, caller: Principal, new: NewOrganization) -> Organization:
    """The new organization. Raises Conflict when a slug was asked for that is taken."""
    try:
        async with context.engine.begin() as connection:
            await authorize_user(connection, caller)
            return await found_organization(connection, caller, new)
    except IntegrityError:
        raise Conflict("An organization with this slug exists.", field="slug") from None


async def found_organization(connection: AsyncConnection, caller: Principal, new: NewOrganization) -> Organization:
    """The new organization with its owner; raises IntegrityError when the slug is taken."""
    organization = await add_organization(
        connection,
        id=uuid7(),
        name=new.name,
        slug=new.slug or await _free_slug(connection, new.name),
        time_zone=new.time_zone,
        max_staleness_seconds=new.max_staleness_seconds,
        **parted(changed_limits(NO_LIMITS, new.limits)),
        end_user_limits=msgspec.to_builtins(changed_limits(NO_LIMITS, new.end_user_limits)),
        alert_percents=list(new.alert_percents),
        enforcement=new.enforcement,
    )
    member = await add_member(connection, caller.subject, organization.id, "owner")
    await announce(connection, organization.record())
    await announce(connection, member.record())
    await note(connection, caller, "organization.created", organization.id, organization_id=organization.id, after=organization)
    return organization


async def _free_slug(connection: AsyncConnection, name: str) -> str:
    slugs = alternatives(slug_of(name, "organization"))
    while await slug_is_taken(connection, slug := next(slugs)):
        pass
    return slug
