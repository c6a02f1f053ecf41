"""List long-lived tokens: one's own, or those of a service account."""

from accounts.domain.access_tokens import LongLivedToken
from accounts.domain.page import Page, PageAsk
from accounts.domain.principal import Principal
from accounts.outbound.access_tokens import tokens_of
from accounts.use_cases.authorize_caller import authorize_user
from accounts.use_cases.authorize_service_account import service_account_for
from accounts.use_cases.context import Context


async def list_personal_tokens(context: Context, caller: Principal, ask: PageAsk) -> Page[LongLivedToken]:
    """One page of those that have not been revoked, oldest first. Raises Forbidden."""
    async with context.engine.begin() as connection:
        await authorize_user(connection, caller)
        return await tokens_of(connection, "user", caller.subject, ask)


async def list_service_account_tokens(
    context: Context, caller: Principal, organization_id: str, service_account_id: str, ask: PageAsk
) -> Page[LongLivedToken]:
    """One page of those that have not been revoked, oldest first. Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        account = await service_account_for(connection, caller, organization_id, service_account_id)
        return await tokens_of(connection, "service_account", account.id, ask)
