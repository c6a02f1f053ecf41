"""Show one organization."""

from accounts.domain.objects import Organization
from accounts.outbound.organizations import find_organization
from accounts.use_cases.authorize_caller import authorize, missing
from accounts.use_cases.context import Context
from common.contracts.access_tokens import Identity


async def show_organization(context: Context, identity: Identity, organization_id: str) -> Organization:
    """Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        await authorize(connection, identity, "organization.read", organization_id)
        organization = await find_organization(connection, organization_id)
    if organization is None:
        raise missing()
    return organization
