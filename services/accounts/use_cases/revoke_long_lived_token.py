"""Revoke a long-lived token: one's own, or one of a service account. It is refused from the next request on."""

from accounts.domain.principal import Principal
from accounts.outbound.access_tokens import revoke_token
from accounts.outbound.audit import note
from accounts.use_cases.authorize_caller import authorize_user, missing
from accounts.use_cases.authorize_service_account import service_account_for
from accounts.use_cases.context import Context


async def revoke_personal_token(context: Context, caller: Principal, token_id: str) -> None:
    """Raises NotFound (is not there, is somebody else's, or has been revoked before), Forbidden."""
    async with context.engine.begin() as connection:
        await authorize_user(connection, caller)
        token = await revoke_token(connection, "user", caller.subject, token_id)
        if token is None:
            raise missing()
        await note(connection, caller, "personal_token.revoked", token_id, before=token)


async def revoke_service_account_token(
    context: Context, caller: Principal, organization_id: str, service_account_id: str, token_id: str
) -> None:
    """Raises NotFound (is not there, or has been revoked before), Forbidden."""
    async with context.engine.begin() as connection:
        account = await service_account_for(connection, caller, organization_id, service_account_id, to_change=True)
        token = await revoke_token(connection, "service_account", account.id, token_id)
        if token is None:
            raise missing()
        await note(connection, caller, "service_account_token.revoked", token_id, organization_id=organization_id, before=token)
