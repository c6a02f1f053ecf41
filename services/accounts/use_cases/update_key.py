"""Change a key's name, models, tags or expiry."""

from typing import Any

from accounts.domain.objects import Key
from accounts.outbound.keys import change_key
from accounts.outbound.metrics import KEY_OPERATIONS
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_caller import key_for
from accounts.use_cases.context import Context
from common.contracts.access_tokens import Identity
from common.problems import Conflict


async def update_key(context: Context, identity: Identity, project_id: str, key_id: str, changes: dict[str, Any]) -> Key:
    """Apply the given fields, leave the others. Raises NotFound, Forbidden, and Conflict for a revoked key."""
    async with context.engine.begin() as connection:
        key = await key_for(connection, identity, "keys.manage", project_id, key_id, locked=True)
        if key.status == "revoked":
            raise Conflict("The key has been revoked; it can no longer be changed.")
        key = await change_key(connection, key_id, **changes)
        await announce(connection, key.record())
    KEY_OPERATIONS.labels("updated").inc()
    return key
