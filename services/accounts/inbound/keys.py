"""API keys over HTTP."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response, status
from pydantic import AfterValidator, Field

from accounts.domain.objects import Key
from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.versions import ExpectedVersion, tag
from accounts.inbound.wire import (
    UNSET,
    Answer,
    Body,
    EffectiveAnswer,
    Identifier,
    Listing,
    Models,
    Moment,
    Name,
    PageWanted,
    Text,
    listing,
)
from accounts.use_cases.confirm_change import ISSUED_SECONDS, REVOKED_SECONDS, confirm_change
from accounts.use_cases.issue_key import NewKey, issue_key
from accounts.use_cases.list_keys import list_keys
from accounts.use_cases.revoke_key import revoke_key
from accounts.use_cases.show_key import show_key
from accounts.use_cases.update_key import update_key

router = APIRouter(prefix="/api/v1/projects/{project_id}/keys", tags=["keys"])


def _future(moment: datetime) -> datetime:
    if moment <= datetime.now(UTC):
        raise ValueError("must lie in the future")
    return moment


KeyStatus = Literal["active", "suspended", "revoked"]
Expiry = Annotated[Moment, AfterValidator(_future)]
TagName = Annotated[Text, Field(min_length=1, max_length=64)]
TagValue = Annotated[Text, Field(max_length=256)]
Tags = Annotated[dict[TagName, TagValue], Field(max_length=20, description="Travel into telemetry")]


class NewKeyBody(Body):
    """A new key."""

    name: Name
    label: Literal["live", "test"] = "live"
    models: Annotated[Models | None, Field(description="What it may use; null = all that the project may")] = None
    tags: Tags = Field(default_factory=dict)
    expires_at: Annotated[Expiry | None, Field(examples=["2027-01-31T12:00:00Z"])] = None


class KeyChanges(Body):
    """Fields to change; the others stay."""

    name: Name = UNSET
    models: Models | None = None
    tags: Tags = UNSET
    expires_at: Expiry | None = None


class KeyAnswer(Answer):
    """A key, without its secret."""

    id: str
    project_id: str
    organization_id: str
    name: str
    hint: str = Field(description="What to recognize it by")
    label: str
    status: str
    models: list[str] | None
    tags: dict[str, str]
    expires_at: datetime | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    revoked_at: datetime | None
    version: int


class ChangedKeyAnswer(KeyAnswer):
    """A key after a change."""

    effective: EffectiveAnswer


class IssuedKeyAnswer(ChangedKeyAnswer):
    """A new key with its plaintext."""

    key: str = Field(description="The key itself: shown now and never again")


@router.get("", summary="The keys of a project")
async def index(
    context: CurrentContext,
    caller: Caller,
    project_id: Identifier,
    page: PageWanted,
    status: Annotated[KeyStatus | None, Query(description="Only those with this status")] = None,
) -> Listing[KeyAnswer]:
    """Oldest first, revoked ones included."""
    return listing(await list_keys(context, caller, str(project_id), page, status), KeyAnswer)


@router.post("", status_code=status.HTTP_201_CREATED, summary="Issue a key")
async def issue(context: CurrentContext, caller: Caller, project_id: Identifier, body: NewKeyBody) -> IssuedKeyAnswer:
    """The only answer that ever shows the plaintext."""
    new = NewKey(**body.model_dump())
    key, plaintext = await issue_key(context, caller, str(project_id), new)
    changed = await _changed(context, key, ISSUED_SECONDS)
    return IssuedKeyAnswer(key=plaintext, **changed.model_dump())


@router.get("/{key_id}", summary="Show a key")
async def show(
    context: CurrentContext, caller: Caller, response: Response, project_id: Identifier, key_id: Identifier
) -> KeyAnswer:
    """Without its secret, which is not known."""
    key = await show_key(context, caller, str(project_id), str(key_id))
    tag(response, key.version)
    return KeyAnswer.model_validate(key)


@router.patch("/{key_id}", summary="Change a key")
async def change(
    context: CurrentContext,
    caller: Caller,
    response: Response,
    project_id: Identifier,
    key_id: Identifier,
    body: KeyChanges,
    expected: ExpectedVersion,
) -> ChangedKeyAnswer:
    """A revoked key can no longer be changed."""
    changes = body.model_dump(exclude_unset=True)
    key = await update_key(context, caller, str(project_id), str(key_id), changes, expected)
    tag(response, key.version)
    return await _changed(context, key, ISSUED_SECONDS)


@router.delete("/{key_id}", summary="Revoke a key")
async def revoke(context: CurrentContext, caller: Caller, project_id: Identifier, key_id: Identifier) -> ChangedKeyAnswer:
    """For ever. `effective` says on how many gateways it is refused by now; repeating is harmless."""
    key = await revoke_key(context, caller, str(project_id), str(key_id))
    return await _changed(context, key, REVOKED_SECONDS)


async def _changed(context: CurrentContext, key: Key, within_seconds: float) -> ChangedKeyAnswer:
    effective = await confirm_change(context, key.record(), within_seconds)
    plain = KeyAnswer.model_validate(key).model_dump()
    return ChangedKeyAnswer(effective=EffectiveAnswer.model_validate(effective), **plain)
