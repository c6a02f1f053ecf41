"""List the organizations that the caller belongs to."""

from accounts.domain.objects import Organization
from accounts.domain.page import Page, PageAsk
from accounts.domain.principal import Principal
from accounts.outbound.organizations import organizations_of
from accounts.use_cases.context import Context
from common.problems import Forbidden


async def list_organizations(
    context: Context, caller: Principal, ask: PageAsk, status: str | None = None, slug: str | None = None
) -> Page[Organization]:
    """One page, oldest first. Every role includes organization.read; raises Forbidden for a token that does not."""
    if caller.scopes is not None and "organization.read" not in caller.scopes:
        raise Forbidden("This token is not meant for organization.read.")
    async with context.engine.begin() as connection:
        return await organizations_of(connection, caller.subject, ask, status=status, slug=slug)
