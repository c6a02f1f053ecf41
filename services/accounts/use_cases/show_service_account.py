"""Show one service account."""

from accounts.domain.objects import ServiceAccount
from accounts.domain.principal import Principal
from accounts.use_cases.authorize_service_account import service_account_for
from accounts.use_cases.context import Context


async def show_service_account(
    context: Context, caller: Principal, organization_id: str, service_account_id: str
) -> ServiceAccount:
    """Also one that was closed. Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        return await service_account_for(connection, caller, organization_id, service_account_id)
