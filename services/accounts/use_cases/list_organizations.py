"""List the organizations that the caller is a member of."""

from accounts.domain.objects import Organization
from accounts.domain.page import Page, PageAsk
from accounts.outbound.organizations import organizations_of
from accounts.use_cases.authorize_caller import authorize_user
from accounts.use_cases.context import Context
from common.contracts.access_tokens import Identity


async def list_organizations(context: Context, identity: Identity, ask: PageAsk) -> Page[Organization]:
    """One page, oldest first."""
    async with context.engine.begin() as connection:
        await authorize_user(connection, identity)
        return await organizations_of(connection, identity.user_id, ask)
