"""Oneself over HTTP."""

from typing import Annotated, Literal

from fastapi import APIRouter, status
from pydantic import Field

from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.wire import Answer, AnyText, Body, Name, NewPassword
from accounts.use_cases.change_password import change_password
from accounts.use_cases.show_identity import Shown, show_identity
from accounts.use_cases.update_profile import update_profile
from common.contracts.access_tokens import IDENTITY_PATH
from common.contracts.roles import Permission, Role

SELF = {"x-permission": "self"}

router = APIRouter(tags=["sign-in"])


class Me(Answer):
    """The user or the service account behind a token."""

    user_id: str = Field(description="Of the user or the service account")
    kind: Literal["user", "service_account"]
    email: str | None = Field(description="Null for a service account", examples=["test@codexflow.dev"])
    name: str
    operator: bool = Field(description="Runs the installation")
    roles: dict[str, Role] = Field(description="By organization id, as they are now")
    scopes: list[Permission] | None = Field(description="What the token is limited to; null = all that the roles permit")
    session_id: str | None = Field(description="The sign-in that the token belongs to, if any")


class Profile(Body):
    """What one may change of oneself."""

    name: Name


class PasswordChange(Body):
    """Both passwords."""

    current_password: Annotated[AnyText, Field(min_length=1, max_length=1024)]
    new_password: NewPassword


def _me(shown: Shown) -> Me:
    identity, user = shown.identity, shown.user
    return Me(
        user_id=identity.user_id,
        kind=identity.kind,
        email=None if user is None else user.email,
        name=shown.name,
        operator=user is not None and user.operator,
        roles=identity.roles,
        scopes=None if identity.scopes is None else list(identity.scopes),
        session_id=identity.session_id,
    )


@router.get(IDENTITY_PATH, summary="Who you are", openapi_extra=SELF)
async def me(context: CurrentContext, caller: Caller) -> Me:
    """Your roles as they are now; the token carries those of its signing."""
    return _me(await show_identity(context, caller))


@router.patch(IDENTITY_PATH, summary="Change your name", openapi_extra=SELF)
async def change(context: CurrentContext, caller: Caller, body: Profile) -> Me:
    """Your email is changed by an operator."""
    await update_profile(context, caller, name=body.name)
    return _me(await show_identity(context, caller))


@router.post("/api/v1/auth/password", status_code=status.HTTP_204_NO_CONTENT, summary="Change your password", openapi_extra=SELF)
async def password(context: CurrentContext, caller: Caller, body: PasswordChange) -> None:
    """Ends all your other sessions."""
    await change_password(context, caller, current=body.current_password, new=body.new_password)
