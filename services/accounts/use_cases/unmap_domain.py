"""Take a domain away from an organization."""

from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.identity_mappings import find_domain, remove_domain
from accounts.use_cases.authorize_caller import authorize_operator, missing
from accounts.use_cases.context import Context


async def unmap_domain(context: Context, caller: Principal, organization_id: str, domain: str) -> None:
    """Nobody new comes by it; who has come stays, and may still sign in. Raises Forbidden, NotFound."""
    async with context.engine.begin() as connection:
        await authorize_operator(connection, caller)
        mapping = await find_domain(connection, domain, locked=True)
        if mapping is None or mapping.organization_id != organization_id:
            raise missing()
        await remove_domain(connection, domain)
        await note(connection, caller, "domain.unmapped", domain, organization_id=organization_id, before=mapping)
