"""Issue an API key: the plaintext leaves once, the digest stays."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from accounts.domain.limits import changed_limits
from accounts.domain.objects import Key
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.keys import add_key, written
from accounts.outbound.limit_columns import parted
from accounts.outbound.metrics import KEY_OPERATIONS
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_caller import project_for
from accounts.use_cases.choose_owner import choose_owner
from accounts.use_cases.context import Context
from accounts.use_cases.require_room import require_room
from common.contracts.api_keys import PREFIX, Peppers, make_key, make_lookup
from common.contracts.directory import NO_LIMITS, KeySecret
from common.contracts.identifiers import uuid7


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What a new key is to be; `owner_id` None = the caller's own. Lists that are None leave all that the project may."""

    name: str
    label: Literal["live", "test"] = "live"
    owner_id: str | None = None
    scopes: list[str] | None = None
    models: list[str] | None = None
    networks: list[str] | None = None
    limits: dict[str, int | None] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    expires_at: datetime | None = None
    rotate_days: int | None = None
    overlap_seconds: int = 86_400


async def issue_key(context: Context, caller: Principal, project_id: str, new: NewKey) -> tuple[Key, str]:
    """The key and its plaintext, which nobody can ever read again. Raises NotFound, Forbidden, Invalid."""
    lookup = make_lookup()
    plaintext = make_key(lookup)
    limits = changed_limits(NO_LIMITS, new.limits)
    owner_id = new.owner_id or caller.subject
    async with context.engine.begin() as connection:
        project = await project_for(connection, caller, "keys.manage", project_id, "keys.issue")
        require_room(project, limits, new.limits)
        owner_kind = await choose_owner(connection, caller, project.organization_id, owner_id)
        key = await add_key(
            connection,
            id=uuid7(),
            project_id=project.id,
            organization_id=project.organization_id,
            lookup=lookup,
            hint=hint_of(plaintext, lookup),
            secrets=written([secret_of(context.peppers, plaintext)]),
            owner_kind=owner_kind,
            owner_id=owner_id,
            created_by=caller.subject,
            **parted(limits),
            **_values(new),
        )
        await announce(connection, key.record())
        await note(connection, caller, "key.issued", key.id, organization_id=key.organization_id, after=key)
    KEY_OPERATIONS.labels("issued").inc()
    return key, plaintext


def _values(new: NewKey) -> dict[str, Any]:
    names = ("name", "label", "scopes", "models", "networks", "tags", "expires_at", "rotate_days", "overlap_seconds")
    return {name: getattr(new, name) for name in names}


def secret_of(peppers: Peppers, plaintext: str) -> KeySecret:
    """What is kept of a plaintext: its digest under the current pepper."""
    return KeySecret(pepper_version=peppers.current, digest=peppers.digest(plaintext).hex())


def hint_of(plaintext: str, lookup: str) -> str:
    """What people recognize a plaintext by: the ends of it, of which the first four characters are not secret."""
    return f"{PREFIX}{lookup[:4]}…{plaintext[-4:]}"
