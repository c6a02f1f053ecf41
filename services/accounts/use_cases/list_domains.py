"""List the domains that are mapped to an organization."""

from accounts.domain.identity_mapping import DomainMapping
from accounts.domain.principal import Principal
from accounts.outbound.identity_mappings import domains_of
from accounts.outbound.organizations import find_organization
from accounts.use_cases.authorize_caller import authorize_operator, missing
from accounts.use_cases.context import Context


async def list_domains(context: Context, caller: Principal, organization_id: str) -> list[DomainMapping]:
    """All, by name. Raises Forbidden, NotFound."""
    async with context.engine.begin() as connection:
        await authorize_operator(connection, caller)
        if await find_organization(connection, organization_id) is None:
            raise missing()
        return await domains_of(connection, organization_id)
