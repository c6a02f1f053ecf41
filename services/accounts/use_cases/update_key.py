"""Change a key's name, models, tags or expiry."""

from typing import Any

from accounts.domain.objects import Key
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.keys import change_key
from accounts.outbound.metrics import KEY_OPERATIONS
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_caller import key_for, require_version
from accounts.use_cases.context import Context
from common.problems import Conflict


async def update_key(
    context: Context,
    caller: Principal,
    project_id: str,
    key_id: str,
    changes: dict[str, Any],
    expected: int | None = None,
) -> Key:
    """Apply the given fields, leave the others. Raises NotFound, Forbidden, PreconditionFailed, Conflict (revoked)."""
    async with context.engine.begin() as connection:
        key = await key_for(connection, caller, project_id, key_id, to_change=True)
        require_version(key.version, expected)
        if key.status == "revoked":
            raise Conflict("The key has been revoked; it can no longer be changed.")
        before, key = key, await change_key(connection, key_id, **changes)
        await announce(connection, key.record())
        await note(connection, caller, "key.updated", key.id, organization_id=key.organization_id, before=before, after=key)
    KEY_OPERATIONS.labels("updated").inc()
    return key
