"""API keys over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response, status
from pydantic import Field

from accounts.domain.key_filter import KeyFilter
from accounts.domain.objects import Key
from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.key_shapes import (
    ChangedKeyAnswer,
    IssuedKeyAnswer,
    KeyAnswer,
    KeyChanges,
    KeyLabel,
    KeyStatus,
    NewKeyBody,
    RotationBody,
    key_answer,
)
from accounts.inbound.versions import ExpectedVersion, tag
from accounts.inbound.wire import EffectiveAnswer, Identifier, Listing, Moment, PageWanted, Text
from accounts.use_cases.confirm_change import ISSUED_SECONDS, REVOKED_SECONDS, confirm_change
from accounts.use_cases.end_rotation import end_rotation
from accounts.use_cases.issue_key import NewKey, issue_key
from accounts.use_cases.list_keys import list_keys
from accounts.use_cases.revoke_key import revoke_key
from accounts.use_cases.rotate_key import rotate_key
from accounts.use_cases.show_key import show_key
from accounts.use_cases.update_key import update_key

router = APIRouter(prefix="/api/v1/projects/{project_id}/keys", tags=["keys"])
READ, ISSUE = {"x-permission": "keys.read"}, {"x-permission": "keys.issue"}
"""Whoever may issue changes keys of their own; everybody's with `keys.manage`."""


async def _only(
    status: Annotated[KeyStatus | None, Query(description="Only those with this status")] = None,
    owner_id: Annotated[UUID | None, Query(description="Only those of this owner")] = None,
    label: Annotated[KeyLabel | None, Query(description="Only those with this label")] = None,
    name: Annotated[Text | None, Field(min_length=1, max_length=200), Query(description="Part of the name")] = None,
    unused_since: Annotated[
        Moment | None, Query(description="Only those that are older than that and have not been used since")
    ] = None,
    expires_before: Annotated[Moment | None, Query(description="Only those that expire before that")] = None,
) -> KeyFilter:
    return KeyFilter(
        status=status,
        owner_id=None if owner_id is None else str(owner_id),
        label=label,
        name=name,
        unused_since=unused_since,
        expires_before=expires_before,
    )


@router.get("", summary="The keys of a project", openapi_extra=READ)
async def index(
    context: CurrentContext,
    caller: Caller,
    project_id: Identifier,
    page: PageWanted,
    only: Annotated[KeyFilter, Depends(_only)],
) -> Listing[KeyAnswer]:
    """Oldest first, revoked ones included."""
    keys = await list_keys(context, caller, str(project_id), page, only)
    return Listing[KeyAnswer](data=[key_answer(key) for key in keys.data], next_cursor=keys.next_cursor)


@router.post("", status_code=status.HTTP_201_CREATED, summary="Issue a key", openapi_extra=ISSUE)
async def issue(context: CurrentContext, caller: Caller, project_id: Identifier, body: NewKeyBody) -> IssuedKeyAnswer:
    """The only answer that ever shows this plaintext. With `keys.issue` alone the key is your own."""
    new = NewKey(**{**_plain(body.model_dump()), "limits": body.limits.model_dump(exclude_unset=True)})
    key, plaintext = await issue_key(context, caller, str(project_id), new)
    changed = await _changed(context, key, ISSUED_SECONDS)
    return IssuedKeyAnswer(key=plaintext, **changed.model_dump())


@router.get("/{key_id}", summary="Show a key", openapi_extra=READ)
async def show(
    context: CurrentContext, caller: Caller, response: Response, project_id: Identifier, key_id: Identifier
) -> KeyAnswer:
    """Without its secret, which is not known."""
    key = await show_key(context, caller, str(project_id), str(key_id))
    tag(response, key.version)
    return key_answer(key)


@router.patch("/{key_id}", summary="Change a key", openapi_extra=ISSUE)
async def change(
    context: CurrentContext,
    caller: Caller,
    response: Response,
    project_id: Identifier,
    key_id: Identifier,
    body: KeyChanges,
    expected: ExpectedVersion,
) -> ChangedKeyAnswer:
    """A revoked key can no longer be changed. `effective` says on how many gateways the change counts by now."""
    changes = _plain(body.model_dump(exclude_unset=True))
    key = await update_key(context, caller, str(project_id), str(key_id), changes, expected)
    tag(response, key.version)
    return await _changed(context, key, REVOKED_SECONDS if key.status == "suspended" else ISSUED_SECONDS)


@router.delete("/{key_id}", summary="Revoke a key", openapi_extra=ISSUE)
async def revoke(
    context: CurrentContext, caller: Caller, response: Response, project_id: Identifier, key_id: Identifier
) -> ChangedKeyAnswer:
    """For ever. `effective` says on how many gateways it is refused by now; repeating is harmless."""
    key = await revoke_key(context, caller, str(project_id), str(key_id))
    tag(response, key.version)
    return await _changed(context, key, REVOKED_SECONDS)


@router.post("/{key_id}/rotate", summary="Rotate a key", openapi_extra=ISSUE)
async def rotate(
    context: CurrentContext,
    caller: Caller,
    response: Response,
    project_id: Identifier,
    key_id: Identifier,
    expected: ExpectedVersion,
    body: RotationBody | None = None,
) -> IssuedKeyAnswer:
    """A new plaintext for the same key, shown once. The one before works until `rotation.old_secret_until`; one that was on its
    way out already stops at once, so that two live at most."""
    overlap = body.overlap_seconds if body else None
    key, plaintext = await rotate_key(context, caller, str(project_id), str(key_id), overlap, expected)
    tag(response, key.version)
    changed = await _changed(context, key, ISSUED_SECONDS if len(key.secrets) > 1 else REVOKED_SECONDS)
    return IssuedKeyAnswer(key=plaintext, **changed.model_dump())


@router.post("/{key_id}/rotation/end", summary="End a rotation's overlap", openapi_extra=ISSUE)
async def end(
    context: CurrentContext,
    caller: Caller,
    response: Response,
    project_id: Identifier,
    key_id: Identifier,
    expected: ExpectedVersion,
) -> ChangedKeyAnswer:
    """The old secret stops working at once; `effective` says on how many gateways by now. Repeating is harmless."""
    key = await end_rotation(context, caller, str(project_id), str(key_id), expected)
    tag(response, key.version)
    return await _changed(context, key, REVOKED_SECONDS)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "owner_id": str(values["owner_id"])} if values.get("owner_id") else values


async def _changed(context: CurrentContext, key: Key, within_seconds: float) -> ChangedKeyAnswer:
    effective = await confirm_change(context, key.record(), within_seconds)
    return ChangedKeyAnswer(effective=EffectiveAnswer.model_validate(effective), **key_answer(key).model_dump())
