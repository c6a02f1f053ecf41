"""Change a key: its name, owner, allow-lists, limits, tags, expiry, schedule; suspend and reinstate it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.audit import status_action
from accounts.domain.limits import changed_limits
from accounts.domain.objects import Key, Project
from accounts.domain.principal import Principal
from accounts.domain.rotation import scheduled, stops_at
from accounts.outbound.audit import note
from accounts.outbound.keys import change_key, written
from accounts.outbound.limit_columns import parted
from accounts.outbound.metrics import KEY_OPERATIONS
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_caller import key_for, project_for, require_version
from accounts.use_cases.choose_owner import choose_owner
from accounts.use_cases.context import Context
from accounts.use_cases.require_room import require_room
from common.problems import Conflict, Invalid

SCHEDULE = ("rotate_days", "overlap_seconds")


async def update_key(
    context: Context,
    caller: Principal,
    project_id: str,
    key_id: str,
    changes: dict[str, Any],
    expected: int | None = None,
) -> Key:
    """Apply the given fields, leave the others, also within limits. Raises NotFound, Forbidden, PreconditionFailed, Invalid,
    Conflict (revoked)."""
    async with context.engine.begin() as connection:
        project = await project_for(connection, caller, "keys.manage", project_id, "keys.issue")
        owner = await _owner(connection, caller, project, changes)
        before = await key_for(connection, caller, project_id, key_id, to_change=True)
        require_version(before.version, expected)
        if before.status == "revoked":
            raise Conflict("The key has been revoked; it can no longer be changed.")
        key = await change_key(connection, key_id, **_values(project, before, changes), **owner)
        await announce(connection, key.record())
        action = status_action("key", before.status, key.status)
        await note(connection, caller, action, key.id, organization_id=key.organization_id, before=before, after=key)
    KEY_OPERATIONS.labels("updated").inc()
    return key


async def _owner(connection: AsyncConnection, caller: Principal, project: Project, changes: dict[str, Any]) -> dict[str, str]:
    if "owner_id" not in changes:
        return {}
    owner_id = changes["owner_id"]
    kind = await choose_owner(connection, caller, project.organization_id, owner_id)
    return {"owner_id": owner_id, "owner_kind": kind}


def _values(project: Project, key: Key, changes: dict[str, Any]) -> dict[str, Any]:
    """What a change writes; whichever it is, secrets that have died are forgotten by it."""
    values = {name: value for name, value in changes.items() if name not in ("limits", "owner_id")}
    if "limits" in changes:
        limits = changed_limits(key.limits, changes["limits"])
        require_room(project, limits, changes["limits"])
        values |= parted(limits)
    schedule = {name: changes[name] for name in SCHEDULE if name in changes}
    return {**values, "secrets": written(_on_schedule(msgspec.structs.replace(key, **schedule), changed=bool(schedule)).secrets)}


def _on_schedule(key: Key, *, changed: bool) -> Key:
    now = datetime.now(UTC)
    stops = stops_at(key)
    if changed and stops is not None and stops <= now:
        wrong = {"field": "rotate_days", "message": "its secret is older than that, and would die at once; rotate the key first"}
        raise Invalid("The key would be overdue.", errors=[wrong])
    return scheduled(key, now)
