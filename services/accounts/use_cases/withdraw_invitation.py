"""Withdraw an invitation that has not been accepted."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.invitation import Invitation
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.invitations import find_invitation, mark_revoked, open_invitations_to
from accounts.use_cases.authorize_caller import authorize, missing
from accounts.use_cases.context import Context
from common.problems import Conflict


async def withdraw_invitation(context: Context, caller: Principal, organization_id: str, invitation_id: str) -> Invitation:
    """The withdrawn invitation; withdrawing again changes nothing. Raises NotFound, Forbidden, Conflict (accepted)."""
    async with context.engine.begin() as connection:
        await authorize(connection, caller, "members.manage", organization_id)
        invitation = await find_invitation(connection, organization_id, invitation_id)
        if invitation is None:
            raise missing()
        if invitation.status == "accepted":
            raise Conflict("The invitation has been accepted; remove the member instead.")
        if invitation.status == "revoked":
            return invitation
        return await _withdraw(connection, caller, invitation)


async def withdraw_open_invitations(connection: AsyncConnection, caller: Principal, organization_id: str, email: str) -> None:
    """Those to one person, in the transaction of what takes their place."""
    for invitation in await open_invitations_to(connection, organization_id, email):
        await _withdraw(connection, caller, invitation)


async def _withdraw(connection: AsyncConnection, caller: Principal, before: Invitation) -> Invitation:
    invitation = await mark_revoked(connection, before.id)
    organization_id = before.organization_id
    await note(
        connection, caller, "invitation.revoked", before.id, organization_id=organization_id, before=before, after=invitation
    )
    return invitation
