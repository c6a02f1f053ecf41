"""Issue an API key: the plaintext leaves once, the digest stays."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec

from accounts.domain.objects import Key
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.keys import add_key
from accounts.outbound.metrics import KEY_OPERATIONS
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_caller import project_for
from accounts.use_cases.context import Context
from common.contracts.api_keys import PREFIX, make_key, make_lookup
from common.contracts.directory import KeySecret
from common.contracts.identifiers import uuid7


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What a new key is to be."""

    name: str
    label: Literal["live", "test"] = "live"
    models: list[str] | None = None
    tags: dict[str, str] = field(default_factory=dict)
    expires_at: datetime | None = None


async def issue_key(context: Context, caller: Principal, project_id: str, new: NewKey) -> tuple[Key, str]:
    """The key and its plaintext, which nobody can ever read again. Raises NotFound, Forbidden."""
    lookup = make_lookup()
    plaintext = make_key(lookup)
    secret = KeySecret(pepper_version=context.peppers.current, digest=context.peppers.digest(plaintext).hex())
    async with context.engine.begin() as connection:
        project = await project_for(connection, caller, "keys.manage", project_id, "keys.issue")
        key = await add_key(
            connection,
            id=uuid7(),
            project_id=project.id,
            organization_id=project.organization_id,
            lookup=lookup,
            hint=f"{PREFIX}{lookup[:4]}…{plaintext[-4:]}",
            name=new.name,
            label=new.label,
            secrets=msgspec.to_builtins([secret]),
            models=new.models,
            tags=new.tags,
            expires_at=new.expires_at,
            owner_kind="service_account" if caller.kind == "service_account" else "member",
            owner_id=caller.subject,
            created_by=caller.subject,
        )
        await announce(connection, key.record())
        await note(connection, caller, "key.issued", key.id, organization_id=key.organization_id, after=key)
    KEY_OPERATIONS.labels("issued").inc()
    return key, plaintext
