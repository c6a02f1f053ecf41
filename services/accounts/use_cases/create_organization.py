"""Create an organization; the caller becomes its owner."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Organization
from accounts.domain.slugs import alternatives, slug_of
from accounts.outbound.organizations import add_organization, slug_is_taken
from accounts.outbound.outbox import announce
from accounts.outbound.users import add_membership
from accounts.use_cases.authorize_caller import authorize_user
from accounts.use_cases.context import Context
from common.contracts.access_tokens import Identity
from common.contracts.identifiers import uuid7
from common.problems import Conflict


async def create_organization(
    context: Context,
    identity: Identity,
    *,
    name: str,
    slug: str | None = None,
    time_zone: str = "UTC",
    max_staleness_seconds: int = 300,
) -> Organization:
    """The new organization. Raises Conflict when a slug was asked for that is taken."""
    try:
        async with context.engine.begin() as connection:
            await authorize_user(connection, identity)
            organization = await add_organization(
                connection,
                id=uuid7(),
                name=name,
                slug=slug or await _free_slug(connection, name),
                time_zone=time_zone,
                max_staleness_seconds=max_staleness_seconds,
            )
            await add_membership(connection, identity.user_id, organization.id, "owner")
            await announce(connection, organization.record())
    except IntegrityError:
        raise Conflict("An organization with this slug exists.", field="slug") from None
    return organization


async def _free_slug(connection: AsyncConnection, name: str) -> str:
    slugs = alternatives(slug_of(name, "organization"))
    while await slug_is_taken(connection, slug := next(slugs)):
        pass
    return slug
