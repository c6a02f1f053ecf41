"""Change an organization: name, slug, time zone, staleness, or suspend it."""

from typing import Any

from sqlalchemy.exc import IntegrityError

from accounts.domain.objects import Organization
from accounts.outbound.organizations import change_organization
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_caller import authorize
from accounts.use_cases.context import Context
from common.contracts.access_tokens import Identity
from common.problems import Conflict


async def update_organization(
    context: Context, identity: Identity, organization_id: str, changes: dict[str, Any]
) -> Organization:
    """Apply the given fields, leave the others. Raises NotFound, Forbidden, Conflict."""
    try:
        async with context.engine.begin() as connection:
            await authorize(connection, identity, "organization.update", organization_id)
            organization = await change_organization(connection, organization_id, **changes)
            await announce(connection, organization.record())
    except IntegrityError:
        raise Conflict("An organization with this slug exists.", field="slug") from None
    return organization
