"""Admit somebody to an organization: the part that accepting an invitation and other ways in have in common."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Member
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.members import add_member
from accounts.outbound.outbox import announce
from common.contracts.roles import Role


async def admit_member(connection: AsyncConnection, caller: Principal, organization_id: str, user_id: str, role: Role) -> Member:
    """The new member, or the former one, whose limits hold again and whose keys of before do not.

    For somebody who is no member at present; the caller has made sure of that under the organization's lock.
    """
    member = await add_member(connection, user_id, organization_id, role)
    await announce(connection, member.record())
    await note(connection, caller, "member.joined", user_id, organization_id=organization_id, after=member)
    return member
