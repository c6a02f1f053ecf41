"""Show one member of an organization."""

from accounts.domain.objects import Member
from accounts.domain.principal import Principal
from accounts.outbound.members import find_member
from accounts.use_cases.authorize_caller import authorize, missing
from accounts.use_cases.context import Context


async def show_member(context: Context, caller: Principal, organization_id: str, user_id: str) -> Member:
    """Also one whose membership ended. Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        await authorize(connection, caller, "members.read", organization_id)
        member = await find_member(connection, organization_id, user_id)
    if member is None:
        raise missing()
    return member
