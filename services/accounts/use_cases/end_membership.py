"""End a membership: the part that leaving and removing have in common."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.audit import Action
from accounts.domain.objects import Member
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.members import change_member
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_membership_change import require_owner_left
from accounts.use_cases.revoke_owned_keys import revoke_owned_keys


async def end_membership(connection: AsyncConnection, caller: Principal, before: Member, action: Action) -> Member:
    """In the transaction of the caller, who holds the lock. The record closes all keys of this owner at once; they are revoked
    one by one as well, for ever. Raises Conflict (the last owner).
    """
    organization_id = before.organization_id
    member = await change_member(connection, organization_id, before.user_id, status="ended")
    await require_owner_left(connection, before)
    await announce(connection, member.record())
    await note(connection, caller, action, before.user_id, organization_id=organization_id, before=before, after=member)
    await revoke_owned_keys(connection, caller, organization_id, before.user_id)
    return member
