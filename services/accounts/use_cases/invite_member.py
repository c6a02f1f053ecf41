"""Invite somebody to an organization: the link leaves once, and by mail where that is configured."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain import opaque_tokens
from accounts.domain.invitation import Invitation, letter, link_of
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.invitations import add_invitation
from accounts.outbound.members import is_member_by_email
from accounts.outbound.organizations import find_organization
from accounts.use_cases.authorize_caller import missing
from accounts.use_cases.authorize_membership_change import authorize_alone, require_role_to_give
from accounts.use_cases.context import Context
from accounts.use_cases.withdraw_invitation import withdraw_open_invitations
from common.contracts.identifiers import uuid7
from common.contracts.roles import Role
from common.problems import Conflict


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInvitation:
    """Whom to invite as what, and for how many days."""

    email: str
    role: Role
    days: int = 7


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation with its link, which nobody can ever read again; `mailed`: a mail server has taken it."""

    invitation: Invitation
    link: str
    mailed: bool


async def invite_member(context: Context, caller: Principal, organization_id: str, new: NewInvitation) -> Invited:
    """Takes the place of an older invitation of the same person. Raises NotFound, Forbidden, Conflict (is a member)."""
    token = opaque_tokens.make("invitation")
    async with context.engine.begin() as connection:
        await authorize_alone(connection, caller, organization_id, "members.manage")
        await require_role_to_give(connection, caller, organization_id, new.role)
        if await is_member_by_email(connection, organization_id, new.email):
            raise Conflict("Somebody with this email is a member already.", field="email")
        await withdraw_open_invitations(connection, caller, organization_id, new.email)
        invitation = await _add(connection, caller, organization_id, new, token)
        organization = await find_organization(connection, organization_id)
    if organization is None:
        raise missing()
    link = link_of(context.public_url, token)
    subject, text = letter(organization.name, new.role, caller.name, link, invitation.expires_at)
    return Invited(invitation, link, mailed=await context.mail.send(new.email, subject, text))


async def _add(
    connection: AsyncConnection, caller: Principal, organization_id: str, new: NewInvitation, token: str
) -> Invitation:
    invitation = await add_invitation(
        connection,
        id=uuid7(),
        organization_id=organization_id,
        email=new.email,
        role=new.role,
        digest=opaque_tokens.digest_of(token),
        invited_by=caller.subject,
        expires_at=func.now() + timedelta(days=new.days),
    )
    await note(connection, caller, "member.invited", invitation.id, organization_id=organization_id, after=invitation)
    return invitation
