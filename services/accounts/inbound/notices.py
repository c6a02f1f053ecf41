"""Notices over HTTP."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.wire import Answer, Identifier, Listing, PageWanted, listing
from accounts.use_cases.list_notices import list_notices

router = APIRouter(prefix="/api/v1/organizations/{organization_id}/notices", tags=["notices"])


class NoticeDetail(Answer):
    """What a notice is about."""

    project_id: str
    name: str
    hint: str
    owner_kind: Literal["member", "service_account"] | None
    owner_id: str | None
    days_before: int = Field(description="Which milestone this was: so many days before `due_at`")
    due_at: datetime = Field(description="When the key expires or is to be rotated")
    stops_working_at: datetime = Field(description="When it stops working if nothing is done")


class NoticeAnswer(Answer):
    """Something that the members of an organization should know; said once for each milestone, and mailed to the key's owner."""

    id: str
    organization_id: str
    kind: Literal["key_rotation_due", "key_expires"]
    object_id: str = Field(description="The key")
    detail: NoticeDetail
    created_at: datetime


@router.get("", summary="What the members of an organization should know", openapi_extra={"x-permission": "keys.read"})
async def index(
    context: CurrentContext,
    caller: Caller,
    organization_id: Identifier,
    page: PageWanted,
    object_id: Annotated[UUID | None, Query(description="Only those about this key")] = None,
) -> Listing[NoticeAnswer]:
    """Oldest first: keys that expire or have to be rotated soon, looked for every ten minutes."""
    about = None if object_id is None else str(object_id)
    return listing(await list_notices(context, caller, str(organization_id), page, about), NoticeAnswer)
