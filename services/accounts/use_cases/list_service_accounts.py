"""List the service accounts of an organization."""

from accounts.domain.objects import ServiceAccount
from accounts.domain.page import Page, PageAsk
from accounts.domain.principal import Principal
from accounts.outbound.service_accounts import service_accounts_of
from accounts.use_cases.authorize_caller import authorize
from accounts.use_cases.context import Context


async def list_service_accounts(
    context: Context, caller: Principal, organization_id: str, ask: PageAsk, status: str | None, name: str | None
) -> Page[ServiceAccount]:
    """One page, oldest first; without a status all but those that were closed. Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        await authorize(connection, caller, "service_accounts.read", organization_id)
        return await service_accounts_of(connection, organization_id, ask, status, name)
