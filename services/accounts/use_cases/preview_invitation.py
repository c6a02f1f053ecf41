"""Show an invitation to whoever holds its token."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain import opaque_tokens
from accounts.domain.identity_mapping import domain_of
from accounts.domain.invitation import Invitation, may_still_give
from accounts.domain.objects import Organization
from accounts.outbound.identity_mappings import find_domain
from accounts.outbound.invitations import find_invitation_by_digest
from accounts.outbound.members import role_of
from accounts.outbound.organizations import find_organization
from accounts.outbound.service_accounts import service_account_role
from accounts.outbound.users import credentials_of
from accounts.use_cases.context import Context
from common.problems import NotFound


@dataclass(frozen=True, slots=True)
class Preview:
    """An open invitation, where it leads, the id of the user with its email, if there is one, and the identity provider that
    vouches for emails of its domain, if one does.
    """

    invitation: Invitation
    organization: Organization
    user_id: str | None
    provider: str | None


async def preview_invitation(context: Context, token: str) -> Preview:
    """Raises NotFound, whatever is wrong with the token."""
    async with context.engine.begin() as connection:
        return await open_invitation(connection, token)


async def open_invitation(connection: AsyncConnection, token: str, *, locked: bool = False) -> Preview:
    """The invitation, if it can be accepted; `locked` keeps it and the members unchanged until the end of the transaction."""
    invitation = await _by_token(connection, token)
    organization = await find_organization(connection, invitation.organization_id, locked=locked)
    if locked:
        invitation = await _by_token(connection, token, locked=True)
    inviter = await role_of(connection, invitation.invited_by, invitation.organization_id) or await service_account_role(
        connection, invitation.invited_by, invitation.organization_id
    )
    if organization is None or invitation.status != "open" or not may_still_give(inviter, invitation.role):
        raise _void()
    known = await credentials_of(connection, invitation.email)
    provider = await _provider_of(connection, invitation.email)
    return Preview(invitation, organization, None if known is None else known.user_id, provider)


async def _provider_of(connection: AsyncConnection, email: str) -> str | None:
    domain = domain_of(email)
    mapping = None if domain is None else await find_domain(connection, domain)
    return None if mapping is None else mapping.provider


async def _by_token(connection: AsyncConnection, token: str, *, locked: bool = False) -> Invitation:
    if opaque_tokens.kind_of(token) != "invitation":
        raise _void()
    invitation = await find_invitation_by_digest(connection, opaque_tokens.digest_of(token), locked=locked)
    if invitation is None:
        raise _void()
    return invitation


def _void() -> NotFound:
    return NotFound("There is no such invitation, or it is no longer valid.")
