"""Where one has signed in, and signing out."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, status
from pydantic import Field

from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.wire import Answer, Body, Identifier, Listing, PageWanted, listing
from accounts.use_cases.list_sessions import list_sessions
from accounts.use_cases.sign_out import sign_out, sign_out_everywhere

SELF = {"x-permission": "self"}

router = APIRouter(prefix="/api/v1/auth", tags=["sign-in"])


class SessionItem(Answer):
    """A sign-in that lives."""

    id: str
    method: Literal["password", "oidc"]
    address: str = Field(examples=["203.0.113.7"])
    agent: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime


class Everywhere(Body):
    """What else to end."""

    personal_tokens: bool = Field(default=False, description="Revoke all personal access tokens too")


class EndedAnswer(Answer):
    """What has come to an end."""

    sessions: int
    personal_tokens: int


@router.get("/sessions", summary="Where you have signed in", openapi_extra=SELF)
async def index(context: CurrentContext, caller: Caller, page: PageWanted) -> Listing[SessionItem]:
    """Oldest first; the one you ask with is named by the `session_id` of its sign-in."""
    return listing(await list_sessions(context, caller, page), SessionItem)


@router.delete("/sessions/{session_id}", status_code=status.HTTP_204_NO_CONTENT, summary="Sign out there", openapi_extra=SELF)
async def end(context: CurrentContext, caller: Caller, session_id: Identifier) -> None:
    """Its tokens are refused from now on."""
    await sign_out(context, caller, str(session_id))


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT, summary="Sign out", openapi_extra=SELF)
async def leave(context: CurrentContext, caller: Caller) -> None:
    """Ends the session that the access token belongs to."""
    await sign_out(context, caller)


@router.post("/logout-everywhere", summary="Sign out everywhere", openapi_extra=SELF)
async def leave_everywhere(context: CurrentContext, caller: Caller, body: Everywhere) -> EndedAnswer:
    """Ends all your sessions, this one too."""
    ended, revoked = await sign_out_everywhere(context, caller, personal_tokens=body.personal_tokens)
    return EndedAnswer(sessions=ended, personal_tokens=revoked)
