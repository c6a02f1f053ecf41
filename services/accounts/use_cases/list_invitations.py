"""List the invitations to an organization."""

from accounts.domain.invitation import Invitation
from accounts.domain.page import Page, PageAsk
from accounts.domain.principal import Principal
from accounts.outbound.invitations import invitations_of
from accounts.use_cases.authorize_caller import authorize
from accounts.use_cases.context import Context


async def list_invitations(
    context: Context,
    caller: Principal,
    organization_id: str,
    ask: PageAsk,
    status: str | None = None,
    email: str | None = None,
) -> Page[Invitation]:
    """One page, oldest first, all or those with a status or an email. Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        await authorize(connection, caller, "members.read", organization_id)
        return await invitations_of(connection, organization_id, ask, status, email)
