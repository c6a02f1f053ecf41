"""Revoke all keys of an owner who is one no longer: should the person come back, the keys of before must not."""

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.keys import change_key
from accounts.outbound.metrics import KEY_OPERATIONS
from accounts.outbound.outbox import announce
from accounts.outbound.owned_keys import owned_keys


async def revoke_owned_keys(connection: AsyncConnection, caller: Principal, organization_id: str, owner_id: str) -> None:
    """In the transaction of what ended the ownership; its own record closes the keys at the gateways before theirs arrive."""
    for before in await owned_keys(connection, organization_id, owner_id):
        key = await change_key(connection, before.id, status="revoked", revoked_at=func.now())
        await announce(connection, key.record())
        await note(connection, caller, "key.revoked", key.id, organization_id=organization_id, before=before, after=key)
        KEY_OPERATIONS.labels("revoked").inc()
