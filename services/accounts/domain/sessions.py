"""Sign-ins of people."""

from datetime import datetime
from typing import Literal

import msgspec

Method = Literal["password", "oidc"]
EndReason = Literal["signed_out", "signed_out_everywhere", "reuse", "password", "suspended"]


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that can be refreshed until it ends or `expires_at` passes; each refresh moves that on."""

    id: str
    user_id: str
    method: Method
    address: str
    agent: str
    refreshed_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    end_reason: EndReason | None = None
    created_at: datetime


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody who has signed in carries: an access token for minutes, and a refresh token for one use."""

    access_token: str
    expires_in: int
    refresh_token: str
    session_id: str
    session_expires_at: datetime
