"""Leave an organization."""

from accounts.domain.objects import Member
from accounts.domain.principal import Principal
from accounts.use_cases.authorize_caller import authorize_user
from accounts.use_cases.authorize_membership_change import authorize_alone, present_member
from accounts.use_cases.context import Context
from accounts.use_cases.end_membership import end_membership


async def leave_organization(context: Context, caller: Principal, organization_id: str) -> Member:
    """Every member may, whatever their role. Raises NotFound for strangers, Forbidden for what is no person, Conflict for the
    last owner.
    """
    async with context.engine.begin() as connection:
        await authorize_user(connection, caller)
        await authorize_alone(connection, caller, organization_id, "organization.read")
        member = await present_member(connection, organization_id, caller.subject)
        return await end_membership(connection, caller, member, "member.left")
