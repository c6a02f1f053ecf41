"""Map a domain to an organization: whom a provider vouches for with an address in it belongs there."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.identity_mapping import DomainMapping, MappedRole
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.identity_mappings import count_mappings, find_domain, put_domain
from accounts.outbound.organizations import find_organization
from accounts.use_cases.authorize_caller import authorize_operator, missing
from accounts.use_cases.context import Context
from common.problems import Conflict, Invalid

MAPPINGS_PER_ORGANIZATION = 500


async def map_domain(
    context: Context, caller: Principal, organization_id: str, domain: str, *, provider: str, default_role: MappedRole | None
) -> DomainMapping:
    """The mapping, new or changed. It takes effect at each person's next sign-in.

    For operators: a domain gives power over the accounts of all people in it. Raises Forbidden, NotFound, Invalid for a provider
    that is not configured, Conflict when the domain is another organization's.
    """
    async with context.engine.begin() as connection:
        await authorize_operator(connection, caller)
        if await find_organization(connection, organization_id, locked=True) is None:
            raise missing()
        require_provider(context, provider)
        before = await find_domain(connection, domain, locked=True)
        if before is None:
            await require_mapping_room(connection, organization_id)
        mapping = await put_domain(connection, organization_id, domain, provider, default_role)
        if mapping is None:
            raise Conflict("This domain is mapped to another organization.", field="domain")
        await note(connection, caller, "domain.mapped", domain, organization_id=organization_id, before=before, after=mapping)
    return mapping


def require_provider(context: Context, name: str) -> None:
    """Raises Invalid when this installation has no such provider."""
    if name not in context.oidc:
        raise Invalid(
            "There is no such identity provider.", errors=[{"field": "provider", "message": "is not one of this installation"}]
        )


async def require_mapping_room(connection: AsyncConnection, organization_id: str) -> None:
    """Raises Conflict when the organization, which the caller has locked, has all the mappings that it may have."""
    if await count_mappings(connection, organization_id) >= MAPPINGS_PER_ORGANIZATION:
        raise Conflict(f"At most {MAPPINGS_PER_ORGANIZATION} domains and groups are mapped for an organization.")
