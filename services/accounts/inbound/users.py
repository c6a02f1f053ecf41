"""The users of the installation over HTTP, for its operators."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response, status
from pydantic import Field

from accounts.domain.objects import Member
from accounts.domain.users import User
from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.versions import ExpectedVersion, tag
from accounts.inbound.wire import (
    UNSET,
    Answer,
    Body,
    EffectiveAnswer,
    Email,
    Identifier,
    Listing,
    Name,
    NewPassword,
    PageWanted,
    Text,
    listing,
)
from accounts.use_cases.confirm_change import REVOKED_SECONDS, confirm_change
from accounts.use_cases.create_user import create_user
from accounts.use_cases.list_users import list_users
from accounts.use_cases.offer_password_reset import offer_password_reset
from accounts.use_cases.show_user import show_user
from accounts.use_cases.update_user import update_user

OPERATOR = {"x-permission": "operator"}

router = APIRouter(prefix="/api/v1/users", tags=["users"])

UserStatus = Literal["active", "suspended"]


class UserAnswer(Answer):
    """A person."""

    id: str
    email: str = Field(examples=["ada@example.com"])
    name: str = Field(examples=["Ada Lovelace"])
    operator: bool = Field(description="Runs the installation")
    status: UserStatus
    has_password: bool = Field(description="False: signs in by an identity provider, or has not set one yet")
    version: int
    created_at: datetime
    updated_at: datetime


class ChangedUserAnswer(UserAnswer):
    """A person after a change."""

    effective: EffectiveAnswer | None = Field(description="Where the person's keys are closed, or open again, by now")


class NewUserBody(Body):
    """A new person."""

    email: Email
    name: Name | None = None
    password: NewPassword | None = None
    operator: bool = False


class UserChanges(Body):
    """Fields to change; the others stay."""

    email: Email = UNSET
    name: Name = UNSET
    status: Annotated[
        UserStatus, Field(description="`suspended`: no sign-in, no session, no token, and all of the person's keys are closed")
    ] = UNSET
    operator: bool = UNSET


class ResetAnswer(Answer):
    """A link for a new password."""

    link: str = Field(description="Whoever has it can become that user: shown now and never again")
    expires_at: datetime
    mailed: bool = Field(description="A mail server has taken the link; false when none is configured")


@router.get("", summary="The users of the installation", openapi_extra=OPERATOR)
async def index(
    context: CurrentContext,
    caller: Caller,
    page: PageWanted,
    email: Annotated[Text | None, Query(max_length=254, description="Only the one with this email, whatever its case")] = None,
    status: Annotated[UserStatus | None, Query(description="Only those with this status")] = None,
) -> Listing[UserAnswer]:
    """Oldest first."""
    return listing(await list_users(context, caller, page, email=email, status=status), UserAnswer)


@router.post("", status_code=status.HTTP_201_CREATED, summary="Create a user", openapi_extra=OPERATOR)
async def create(context: CurrentContext, caller: Caller, response: Response, body: NewUserBody) -> UserAnswer:
    """Without a password, give them the link of a password reset, or let them sign in by an identity provider."""
    user = await create_user(
        context, caller, email=body.email, password=body.password, name=body.name or "", operator=body.operator
    )
    tag(response, user.version)
    return UserAnswer.model_validate(user)


@router.get("/{user_id}", summary="Show a user", openapi_extra=OPERATOR)
async def show(context: CurrentContext, caller: Caller, response: Response, user_id: Identifier) -> UserAnswer:
    """Whatever their status."""
    user = await show_user(context, caller, str(user_id))
    tag(response, user.version)
    return UserAnswer.model_validate(user)


@router.patch("/{user_id}", summary="Change a user", openapi_extra=OPERATOR)
async def change(
    context: CurrentContext,
    caller: Caller,
    response: Response,
    user_id: Identifier,
    body: UserChanges,
    expected: ExpectedVersion,
) -> ChangedUserAnswer:
    """There is always at least one active operator."""
    user, members = await update_user(context, caller, str(user_id), body.model_dump(exclude_unset=True), expected)
    tag(response, user.version)
    return await _changed(context, user, members)


@router.post(
    "/{user_id}/password-reset",
    status_code=status.HTTP_201_CREATED,
    summary="Make a link for a new password",
    openapi_extra=OPERATOR,
)
async def offer_reset(context: CurrentContext, caller: Caller, user_id: Identifier) -> ResetAnswer:
    """Works once, within an hour; mailed to the user where mail is configured."""
    return ResetAnswer.model_validate(await offer_password_reset(context, caller, str(user_id)))


async def _changed(context: CurrentContext, user: User, members: list[Member]) -> ChangedUserAnswer:
    effective = None
    if members:  # the relay keeps the order, so the last one stands for all
        effective = EffectiveAnswer.model_validate(await confirm_change(context, members[-1].record(), REVOKED_SECONDS))
    return ChangedUserAnswer(effective=effective, **UserAnswer.model_validate(user).model_dump())
