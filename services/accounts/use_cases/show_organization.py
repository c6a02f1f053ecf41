"""Show one organization."""

from accounts.domain.objects import Organization
from accounts.domain.principal import Principal
from accounts.outbound.organizations import find_organization
from accounts.use_cases.authorize_caller import authorize, missing
from accounts.use_cases.context import Context


async def show_organization(context: Context, caller: Principal, organization_id: str) -> Organization:
    """Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        await authorize(connection, caller, "organization.read", organization_id)
        organization = await find_organization(connection, organization_id)
    if organization is None:
        raise missing()
    return organization
