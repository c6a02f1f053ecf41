"""Revoke a key, for ever."""

from sqlalchemy import func

from accounts.domain.objects import Key
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.keys import change_key
from accounts.outbound.metrics import KEY_OPERATIONS
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_caller import key_for
from accounts.use_cases.context import Context


async def revoke_key(context: Context, caller: Principal, project_id: str, key_id: str) -> Key:
    """The revoked key; revoking it again changes nothing. Raises NotFound, Forbidden.

    The record stays, with its digests, for a deleted record could be mistaken for one that has not arrived yet.
    """
    async with context.engine.begin() as connection:
        key = await key_for(connection, caller, project_id, key_id, to_change=True)
        if key.status == "revoked":
            return key
        before, key = key, await change_key(connection, key_id, status="revoked", revoked_at=func.now())
        await announce(connection, key.record())
        await note(connection, caller, "key.revoked", key.id, organization_id=key.organization_id, before=before, after=key)
    KEY_OPERATIONS.labels("revoked").inc()
    return key
