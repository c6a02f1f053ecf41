"""Invitations over HTTP."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, status
from pydantic import Field

from accounts.domain.invitation import InvitationStatus
from accounts.inbound.caller import Anybody, Caller, CurrentContext
from accounts.inbound.wire import Answer, AnyText, Body, Email, Identifier, Listing, Name, NewPassword, PageWanted, Text, listing
from accounts.use_cases.accept_invitation import Newcomer, accept_invitation
from accounts.use_cases.invite_member import NewInvitation, invite_member
from accounts.use_cases.list_invitations import list_invitations
from accounts.use_cases.preview_invitation import preview_invitation
from accounts.use_cases.withdraw_invitation import withdraw_invitation
from common.contracts.roles import Role
from common.problems import Invalid

router = APIRouter(prefix="/api/v1/organizations/{organization_id}/invitations", tags=["invitations"])
public_router = APIRouter(tags=["invitations"])

PREVIEW_PATH = "/api/v1/invitations/preview"
ACCEPT_PATH = "/api/v1/invitations/accept"

InvitationToken = Annotated[AnyText, Field(min_length=1, max_length=200, description="From the link: what follows `#token=`")]


class NewInvitationBody(Body):
    """Whom to invite as what."""

    email: Email
    role: Annotated[Role, Field(description="At most one whose permissions you have; only owners invite owners")]
    expires_in_days: Annotated[int, Field(ge=1, le=30)] = 7


class InvitationAnswer(Answer):
    """An invitation, without its link."""

    id: str
    organization_id: str
    email: str = Field(examples=["ada@example.com"])
    role: Role
    status: InvitationStatus
    invited_by: str = Field(description="The user or service account; when it may no longer invite, its invitations are void")
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime


class InvitedAnswer(InvitationAnswer):
    """A new invitation with its link."""

    link: str = Field(description="Whoever has it can accept in the name of that email: shown now and never again")
    mailed: bool = Field(description="A mail server has taken the link; false when none is configured")


class TokenBody(Body):
    """The token of an invitation."""

    token: InvitationToken


class AcceptanceBody(TokenBody):
    """The token; with name and password for a new account."""

    name: Name | None = None
    password: NewPassword | None = None


class PreviewAnswer(Answer):
    """What somebody is invited to."""

    organization_name: str
    email: str
    role: Role
    expires_at: datetime
    has_account: bool = Field(description="true: sign in with that email, then accept; false: accept with a name and a password")
    provider: str | None = Field(description="The identity provider by which people with this email sign in, account or not")


class AcceptedAnswer(Answer):
    """A new membership. Sign in to use it."""

    organization_id: str
    organization_name: str
    user_id: str
    email: str
    role: Role


@router.get("", summary="The invitations to an organization", openapi_extra={"x-permission": "members.read"})
async def index(
    context: CurrentContext,
    caller: Caller,
    organization_id: Identifier,
    page: PageWanted,
    status: Annotated[InvitationStatus | None, Query(description="Only those with this status")] = None,
    email: Annotated[Text | None, Query(max_length=254, description="Only those of this email, whatever its case")] = None,
) -> Listing[InvitationAnswer]:
    """Oldest first."""
    return listing(await list_invitations(context, caller, str(organization_id), page, status, email), InvitationAnswer)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    summary="Invite somebody",
    openapi_extra={"x-permission": "members.manage"},
)
async def invite(context: CurrentContext, caller: Caller, organization_id: Identifier, body: NewInvitationBody) -> InvitedAnswer:
    """The only answer that ever shows the link. An older invitation of the same email is withdrawn."""
    new = NewInvitation(email=body.email, role=body.role, days=body.expires_in_days)
    invited = await invite_member(context, caller, str(organization_id), new)
    plain = InvitationAnswer.model_validate(invited.invitation).model_dump()
    return InvitedAnswer(link=invited.link, mailed=invited.mailed, **plain)


@router.delete("/{invitation_id}", summary="Withdraw an invitation", openapi_extra={"x-permission": "members.manage"})
async def withdraw(
    context: CurrentContext, caller: Caller, organization_id: Identifier, invitation_id: Identifier
) -> InvitationAnswer:
    """Repeating is harmless; one that was accepted is answered with a conflict."""
    return InvitationAnswer.model_validate(await withdraw_invitation(context, caller, str(organization_id), str(invitation_id)))


@public_router.post(PREVIEW_PATH, summary="What an invitation is to", openapi_extra={"x-permission": "public"})
async def preview(context: CurrentContext, body: TokenBody) -> PreviewAnswer:
    """For whoever has its token. A token that is wrong, expired, used or withdrawn is answered like one that never was."""
    seen = await preview_invitation(context, body.token)
    return PreviewAnswer(
        organization_name=seen.organization.name,
        email=seen.invitation.email,
        role=seen.invitation.role,
        expires_at=seen.invitation.expires_at,
        has_account=seen.user_id is not None,
        provider=seen.provider,
    )


@public_router.post(ACCEPT_PATH, summary="Accept an invitation", openapi_extra={"x-permission": "public"})
async def accept(context: CurrentContext, caller: Anybody, body: AcceptanceBody) -> AcceptedAnswer:
    """Signed in with the email of the invitation: the token alone. Without an account of that email: the token, a name and a
    password, which become a new account. Works once, and signs nobody in.
    """
    member, organization = await accept_invitation(context, caller, body.token, _newcomer(body))
    return AcceptedAnswer(
        organization_id=organization.id,
        organization_name=organization.name,
        user_id=member.user_id,
        email=member.email,
        role=member.role,
    )


def _newcomer(body: AcceptanceBody) -> Newcomer | None:
    if body.name is not None and body.password is not None:
        return Newcomer(body.name, body.password)
    if body.name is None and body.password is None:
        return None
    lacking = "name" if body.name is None else "password"
    raise Invalid("A new account needs a name and a password.", errors=[{"field": lacking, "message": "Field required"}])
