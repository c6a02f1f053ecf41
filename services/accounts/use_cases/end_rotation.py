"""End the overlap of a rotation: from now on only the newest secret is good."""

from datetime import UTC, datetime

from accounts.domain.objects import Key
from accounts.domain.principal import Principal
from accounts.domain.rotation import old_secret_until, overlap_ended
from accounts.outbound.audit import note
from accounts.outbound.keys import change_key, written
from accounts.outbound.metrics import KEY_OPERATIONS
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_caller import key_for, require_version
from accounts.use_cases.context import Context


async def end_rotation(context: Context, caller: Principal, project_id: str, key_id: str, expected: int | None = None) -> Key:
    """The key; where no old secret lives nothing changes. Raises NotFound, Forbidden, PreconditionFailed."""
    async with context.engine.begin() as connection:
        before = await key_for(connection, caller, project_id, key_id, to_change=True)
        require_version(before.version, expected)
        until = old_secret_until(before, datetime.now(UTC))
        if until is None or before.status == "revoked":
            return before
        key = await change_key(connection, key_id, secrets=written(overlap_ended(before).secrets))
        await announce(connection, key.record())
        await note(
            connection,
            caller,
            "key.rotation_ended",
            key.id,
            organization_id=key.organization_id,
            before={"old_secret_until": until},
            after={"old_secret_until": None},
        )
    KEY_OPERATIONS.labels("rotation_ended").inc()
    return key
