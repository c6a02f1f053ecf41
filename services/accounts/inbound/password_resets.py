"""New passwords for those who have forgotten theirs, over HTTP and without a token."""

import time
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, status
from pydantic import Field

from accounts.inbound.caller import Anybody, CurrentContext
from accounts.inbound.wire import Answer, Body, Email, NewPassword, Text
from accounts.use_cases.offer_password_reset import mail_password_reset
from accounts.use_cases.reset_password import reset_password
from common.problems import TooManyRequests

RESET_PATH = "/api/v1/auth/password-reset"
CONFIRM_PATH = f"{RESET_PATH}/confirm"
PUBLIC = {"x-permission": "public"}

router = APIRouter(tags=["sign-in"])


class ResetBody(Body):
    """Who has forgotten their password."""

    email: Email


class ConfirmBody(Body):
    """The token of the link, and the new password."""

    token: Annotated[Text, Field(min_length=1, max_length=200, description="From the link: what follows `#token=`")]
    new_password: NewPassword


class Accepted(Answer):
    """The same whoever asks for whom."""

    detail: str = "If there is such a user with a password, and mail is configured, a link is on its way."


@router.post(RESET_PATH, status_code=status.HTTP_202_ACCEPTED, summary="Forgot your password?", openapi_extra=PUBLIC)
async def ask(context: CurrentContext, caller: Anybody, body: ResetBody, later: BackgroundTasks) -> Accepted:
    """Mails a link to the user, at most three in an hour. The answer does not tell whether there is one."""
    wait = context.logins.attempt(f"forgotten {body.email.lower()} {caller.origin.address}", time.monotonic())
    if wait:
        raise TooManyRequests("Too many requests; wait a little.", retry_after_seconds=int(wait) + 1)
    later.add_task(mail_password_reset, context, caller, body.email)
    return Accepted()


@router.post(CONFIRM_PATH, status_code=status.HTTP_204_NO_CONTENT, summary="Set a new password", openapi_extra=PUBLIC)
async def confirm(context: CurrentContext, caller: Anybody, body: ConfirmBody) -> None:
    """Once, within an hour; ends all sessions of the user. Personal access tokens stay: see logout-everywhere."""
    await reset_password(context, body.token, body.new_password, caller.origin)
