"""Invitations: a link by which somebody becomes a member, once and for a while."""

from datetime import datetime
from typing import Literal

import msgspec

from common.contracts.roles import PERMISSIONS, Role

InvitationStatus = Literal["open", "accepted", "revoked", "expired"]


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation as it stood when it was read; its token is known to nobody but whom it was given to."""

    id: str
    organization_id: str
    email: str
    role: Role
    status: InvitationStatus
    invited_by: str
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime


def may_still_give(inviter: Role | None, role: Role) -> bool:
    """Whether who sent an invitation could send it now: one of somebody who has been removed or demoted is void."""
    granted = frozenset() if inviter is None else PERMISSIONS[inviter]
    return "members.manage" in granted and granted >= PERMISSIONS[role]


def link_of(public_url: str, token: str) -> str:
    """The token goes in the fragment, which browsers send to no server."""
    return f"{public_url.rstrip('/')}/invitations#token={token}"


def letter(organization: str, role: Role, inviter: str, link: str, expires_at: datetime) -> tuple[str, str]:
    """Subject and text of the mail."""
    text = (
        f"{inviter} invites you to the organization {organization} on CodexFlow, in the role {role}.\n\n"
        f"Accept by opening this link, until {expires_at:%Y-%m-%d %H:%M} UTC:\n\n{link}\n\n"
        "The link works once. If you did not expect it, do nothing.\n"
    )
    return f"Invitation to {organization}", text
