"""Rotate a key: a new secret for the same key, while the one before lives on for a stated time."""

from datetime import UTC, datetime

from accounts.domain.objects import Key
from accounts.domain.principal import Principal
from accounts.domain.rotation import rotated
from accounts.outbound.audit import note
from accounts.outbound.keys import change_key, written
from accounts.outbound.metrics import KEY_OPERATIONS
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_caller import key_for, require_version
from accounts.use_cases.context import Context
from accounts.use_cases.issue_key import hint_of, secret_of
from common.contracts.api_keys import make_key
from common.problems import Conflict


async def rotate_key(
    context: Context,
    caller: Principal,
    project_id: str,
    key_id: str,
    overlap_seconds: int | None = None,
    expected: int | None = None,
) -> tuple[Key, str]:
    """The key and its new plaintext; `overlap_seconds` None = as the key has it, 0 = the old secret dies at once.

    Raises NotFound, Forbidden, PreconditionFailed, Conflict (revoked). The new plaintext has the lookup of the old one: the
    directory finds the key by it, so id, record and history stay.
    """
    async with context.engine.begin() as connection:
        before = await key_for(connection, caller, project_id, key_id, to_change=True)
        require_version(before.version, expected)
        if before.status == "revoked":
            raise Conflict("The key has been revoked; it can no longer be rotated.")
        plaintext = make_key(before.lookup)
        overlap = before.overlap_seconds if overlap_seconds is None else overlap_seconds
        after = rotated(before, secret_of(context.peppers, plaintext), overlap, datetime.now(UTC))
        hint = hint_of(plaintext, before.lookup)
        key = await change_key(connection, key_id, secrets=written(after.secrets), rotated_at=after.rotated_at, hint=hint)
        await announce(connection, key.record())
        await note(connection, caller, "key.rotated", key.id, organization_id=key.organization_id, before=before, after=key)
    KEY_OPERATIONS.labels("rotated").inc()
    return key, plaintext
