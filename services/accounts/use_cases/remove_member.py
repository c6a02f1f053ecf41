"""Remove a member from an organization."""

from accounts.domain.objects import Member
from accounts.domain.principal import Principal
from accounts.use_cases.authorize_caller import authorize
from accounts.use_cases.authorize_membership_change import authorize_alone, present_member
from accounts.use_cases.context import Context
from accounts.use_cases.end_membership import end_membership


async def remove_member(context: Context, caller: Principal, organization_id: str, user_id: str) -> Member:
    """The former member; removing once more changes nothing. Raises NotFound, Forbidden, Conflict (the last owner)."""
    async with context.engine.begin() as connection:
        await authorize_alone(connection, caller, organization_id, "members.manage")
        member = await present_member(connection, organization_id, user_id)
        if member.status == "ended":
            return member
        if member.role == "owner":
            await authorize(connection, caller, "owners.manage", organization_id)
        return await end_membership(connection, caller, member, "member.removed")
