"""List the members of an organization."""

from accounts.domain.objects import Member
from accounts.domain.page import Page, PageAsk
from accounts.domain.principal import Principal
from accounts.outbound.members import members_of
from accounts.use_cases.authorize_caller import authorize
from accounts.use_cases.context import Context
from common.contracts.roles import Role


async def list_members(
    context: Context,
    caller: Principal,
    organization_id: str,
    ask: PageAsk,
    role: Role | None = None,
    status: str | None = None,
    email: str | None = None,
) -> Page[Member]:
    """One page; without a status all but those whose membership ended. Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        await authorize(connection, caller, "members.read", organization_id)
        return await members_of(connection, organization_id, ask, role, status, email)
