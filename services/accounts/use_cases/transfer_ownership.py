"""Transfer the ownership of an organization: the other becomes owner, the caller admin."""

from accounts.domain.objects import Member
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.members import change_member
from accounts.outbound.outbox import announce
from accounts.use_cases.authorize_membership_change import authorize_alone, present_member
from accounts.use_cases.context import Context
from common.problems import Conflict


async def transfer_ownership(context: Context, caller: Principal, organization_id: str, user_id: str) -> tuple[Member, Member]:
    """The new owner and the former one. Raises NotFound, Forbidden, Conflict (not an active member, or oneself)."""
    async with context.engine.begin() as connection:
        await authorize_alone(connection, caller, organization_id, "owners.manage")
        other = await present_member(connection, organization_id, user_id)
        if user_id == caller.id:
            raise Conflict("You are the owner already.")
        if other.record().status != "active":
            raise Conflict("Only an active member can become the owner.")
        owner = await change_member(connection, organization_id, user_id, role="owner")
        former = await change_member(connection, organization_id, caller.subject, role="admin")
        await announce(connection, owner.record())
        await announce(connection, former.record())
        await note(
            connection,
            caller,
            "ownership.transferred",
            organization_id,
            organization_id=organization_id,
            before={"owner_id": former.user_id},
            after={"owner_id": owner.user_id},
        )
    return owner, former
