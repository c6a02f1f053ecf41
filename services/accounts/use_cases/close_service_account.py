"""Close a service account, for ever."""

from accounts.domain.objects import ServiceAccount
from accounts.domain.principal import Principal
from accounts.outbound.access_tokens import revoke_tokens
from accounts.outbound.audit import note
from accounts.outbound.outbox import announce
from accounts.outbound.service_accounts import change_service_account
from accounts.use_cases.authorize_service_account import service_account_for
from accounts.use_cases.context import Context
from accounts.use_cases.revoke_owned_keys import revoke_owned_keys


async def close_service_account(
    context: Context, caller: Principal, organization_id: str, service_account_id: str
) -> ServiceAccount:
    """Its tokens and keys are revoked with it; closing it again changes nothing. Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        before = await service_account_for(connection, caller, organization_id, service_account_id, to_change=True)
        if before.status == "ended":
            return before
        account = await change_service_account(connection, before.id, status="ended")
        await revoke_tokens(connection, "service_account", account.id)
        await announce(connection, account.record())
        await note(
            connection,
            caller,
            "service_account.closed",
            account.id,
            organization_id=organization_id,
            before=before,
            after=account,
        )
        await revoke_owned_keys(connection, caller, organization_id, account.id)
    return account
