"""Members of an organization over HTTP."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field

from accounts.domain.objects import Member
from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.limits import LimitsAnswer, LimitsBody
from accounts.inbound.versions import ExpectedVersion, tag
from accounts.inbound.wire import UNSET, Answer, Body, EffectiveAnswer, Identifier, Listing, PageWanted, Text, listing
from accounts.use_cases.confirm_change import ISSUED_SECONDS, REVOKED_SECONDS, confirm_change
from accounts.use_cases.leave_organization import leave_organization
from accounts.use_cases.list_members import list_members
from accounts.use_cases.remove_member import remove_member
from accounts.use_cases.show_member import show_member
from accounts.use_cases.transfer_ownership import transfer_ownership
from accounts.use_cases.update_member import FIELD_PERMISSIONS, update_member
from common.contracts.roles import Role

router = APIRouter(prefix="/api/v1/organizations/{organization_id}", tags=["members"])

MemberStatus = Literal["active", "suspended", "ended"]


class MemberAnswer(Answer):
    """A person in an organization."""

    user_id: str
    organization_id: str
    email: str = Field(examples=["ada@example.com"])
    name: str = Field(examples=["Ada Lovelace"])
    role: Role
    status: MemberStatus = Field(description="`ended`: has left or was removed")
    user_status: Literal["active", "suspended"] = Field(description="Of the person in the whole installation")
    limits: LimitsAnswer = Field(description="Over all keys that the person owns here")
    version: int
    created_at: datetime
    updated_at: datetime


class ChangedMemberAnswer(MemberAnswer):
    """A member after a change."""

    effective: EffectiveAnswer


class MemberChanges(Body):
    """Fields to change; the others stay."""

    role: Annotated[Role, Field(description="At most one whose permissions you have; to make or unmake an owner, be one")] = UNSET
    status: Annotated[
        Literal["active", "suspended"], Field(description="`suspended` closes the person's keys here until it is `active` again")
    ] = UNSET
    limits: Annotated[LimitsBody, Field(description="Needs the permission limits.manage")] = UNSET


class TransferBody(Body):
    """Who is to be the owner."""

    user_id: Annotated[UUID, Field(strict=False)]


class TransferAnswer(Answer):
    """The new owner and the former one, who is an admin now."""

    owner: MemberAnswer
    former_owner: MemberAnswer


@router.get("/members", summary="The members of an organization", openapi_extra={"x-permission": "members.read"})
async def index(
    context: CurrentContext,
    caller: Caller,
    organization_id: Identifier,
    page: PageWanted,
    role: Annotated[Role | None, Query(description="Only those with this role")] = None,
    status: Annotated[
        MemberStatus | None, Query(description="Only those with this status; without it all but those whose membership ended")
    ] = None,
    email: Annotated[Text | None, Query(max_length=254, description="Only the one with this email, whatever its case")] = None,
) -> Listing[MemberAnswer]:
    """In the order of their user ids."""
    return listing(await list_members(context, caller, str(organization_id), page, role, status, email), MemberAnswer)


@router.get("/members/{user_id}", summary="Show a member", openapi_extra={"x-permission": "members.read"})
async def show(
    context: CurrentContext, caller: Caller, response: Response, organization_id: Identifier, user_id: Identifier
) -> MemberAnswer:
    """Also one who has left."""
    member = await show_member(context, caller, str(organization_id), str(user_id))
    tag(response, member.version)
    return MemberAnswer.model_validate(member)


@router.patch(
    "/members/{user_id}",
    summary="Change a member",
    openapi_extra={"x-permission": "members.manage", "x-permission-by-field": FIELD_PERMISSIONS},
)
async def change(
    context: CurrentContext,
    caller: Caller,
    response: Response,
    organization_id: Identifier,
    user_id: Identifier,
    body: MemberChanges,
    expected: ExpectedVersion,
) -> ChangedMemberAnswer:
    """Limits alone need limits.manage instead. There is always at least one active owner."""
    changes = body.model_dump(exclude_unset=True)
    member = await update_member(context, caller, str(organization_id), str(user_id), changes, expected)
    tag(response, member.version)
    return await _changed(context, member, REVOKED_SECONDS if "status" in changes else ISSUED_SECONDS)


@router.delete("/members/{user_id}", summary="Remove a member", openapi_extra={"x-permission": "members.manage"})
async def remove(
    context: CurrentContext, caller: Caller, organization_id: Identifier, user_id: Identifier
) -> ChangedMemberAnswer:
    """Revokes the person's keys in this organization. `effective` says on how many gateways they are refused by now;
    repeating is harmless.
    """
    member = await remove_member(context, caller, str(organization_id), str(user_id))
    return await _changed(context, member, REVOKED_SECONDS)


@router.post("/leave", summary="Leave an organization", openapi_extra={"x-permission": "self"})
async def leave(context: CurrentContext, caller: Caller, organization_id: Identifier) -> ChangedMemberAnswer:
    """Revokes your keys in this organization. The last owner cannot leave."""
    member = await leave_organization(context, caller, str(organization_id))
    return await _changed(context, member, REVOKED_SECONDS)


@router.post(
    "/transfer-ownership",
    summary="Make another member the owner",
    openapi_extra={"x-permission": "owners.manage"},
)
async def transfer(context: CurrentContext, caller: Caller, organization_id: Identifier, body: TransferBody) -> TransferAnswer:
    """You become an admin. Other owners stay."""
    owner, former = await transfer_ownership(context, caller, str(organization_id), str(body.user_id))
    return TransferAnswer(owner=MemberAnswer.model_validate(owner), former_owner=MemberAnswer.model_validate(former))


async def _changed(context: CurrentContext, member: Member, within_seconds: float) -> ChangedMemberAnswer:
    effective = await confirm_change(context, member.record(), within_seconds)
    plain = MemberAnswer.model_validate(member).model_dump()
    return ChangedMemberAnswer(effective=EffectiveAnswer.model_validate(effective), **plain)
