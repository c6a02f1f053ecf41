"""Revoke a key, for ever."""

from sqlalchemy import func

from accounts.domain.objects import Key
from accounts.outbound.keys import change_key
from accounts.outbound.metrics import KEY_OPERATIONS
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_caller import key_for
from accounts.use_cases.context import Context
from common.contracts.access_tokens import Identity


async def revoke_key(context: Context, identity: Identity, project_id: str, key_id: str) -> Key:
    """The revoked key; revoking it again changes nothing. Raises NotFound, Forbidden.

    The record stays, with its digests, for a deleted record could be mistaken for one that has not arrived yet.
    """
    async with context.engine.begin() as connection:
        key = await key_for(connection, identity, "keys.manage", project_id, key_id, locked=True)
        if key.status == "revoked":
            return key
        key = await change_key(connection, key_id, status="revoked", revoked_at=func.now())
        await announce(connection, key.record())
    KEY_OPERATIONS.labels("revoked").inc()
    return key
