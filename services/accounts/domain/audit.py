"""What the audit log records: a closed list of actions, and objects without their secrets."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from accounts.domain.principal import Origin, PrincipalKind

Action = Literal[
    "auth.signed_in",
    "auth.sign_in_refused",
    "auth.signed_out",
    "auth.signed_out_everywhere",
    "auth.refresh_reused",
    "auth.token_exchanged",
    "password.changed",
    "password.reset_asked",
    "password.reset",
    "user.created",
    "user.updated",
    "user.suspended",
    "user.reinstated",
    "personal_token.created",
    "personal_token.revoked",
    "organization.created",
    "organization.updated",
    "organization.suspended",
    "organization.reinstated",
    "member.invited",
    "invitation.revoked",
    "member.joined",
    "member.updated",
    "member.suspended",
    "member.reinstated",
    "member.left",
    "member.removed",
    "ownership.transferred",
    "domain.mapped",
    "domain.unmapped",
    "group.mapped",
    "group.unmapped",
    "service_account.created",
    "service_account.updated",
    "service_account.suspended",
    "service_account.reinstated",
    "service_account.closed",
    "service_account_token.created",
    "service_account_token.revoked",
    "plan.created",
    "plan.updated",
    "plan.deleted",
    "project.created",
    "project.updated",
    "project.suspended",
    "project.reinstated",
    "key.issued",
    "key.updated",
    "key.rotated",
    "key.rotation_ended",
    "key.suspended",
    "key.reinstated",
    "key.revoked",
    "directory.repaired",
]

SECRET_FIELDS = frozenset({"secrets", "lookup", "digest", "password_hash", "refresh_digest", "updated_at", "version"})
"""What is never shown: secrets and their digests; and what every change changes."""


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who did it, by the name that they had then. A refused stranger is named by what they called themselves."""

    kind: PrincipalKind
    id: str | None
    name: str


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are wanted: all that fit every condition. None or empty = any; `since` is included, `until` is not."""

    actions: tuple[Action, ...] = ()
    actor_id: str | None = None
    object_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log. `before` and `after` hold only what changed; a creation has no before, an end no after."""

    id: str
    at: datetime
    organization_id: str | None
    actor: Actor
    action: str
    object_kind: str
    object_id: str | None
    origin: Origin
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def shown(thing: object) -> dict[str, Any]:
    """An object's fields without secrets, as plain JSON values."""
    fields: dict[str, Any] = msgspec.to_builtins(thing)
    return {name: value for name, value in fields.items() if name not in SECRET_FIELDS}


def status_action(kind: str, before: str, after: str) -> Action:
    """What an update of an object with a status is called."""
    word = "updated" if before == after else "suspended" if after == "suspended" else "reinstated"
    return f"{kind}.{word}"  # type: ignore[return-value] # all kinds that have a status have the three actions


def difference(before: object, after: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields in which two states of an object differ, as they were and as they are."""
    old, new = shown(before), shown(after)
    changed = [name for name in new if old.get(name) != new[name]]
    return {name: old.get(name) for name in changed}, {name: new[name] for name in changed}
