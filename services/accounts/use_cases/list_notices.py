"""List the notices of an organization."""

from accounts.domain.objects import Notice
from accounts.domain.page import Page, PageAsk
from accounts.domain.principal import Principal
from accounts.outbound.notices import notices_of
from accounts.use_cases.authorize_caller import authorize
from accounts.use_cases.context import Context


async def list_notices(
    context: Context, caller: Principal, organization_id: str, ask: PageAsk, object_id: str | None = None
) -> Page[Notice]:
    """One page, oldest first, all or those about one key. Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        await authorize(connection, caller, "keys.read", organization_id)
        return await notices_of(connection, organization_id, ask, object_id)
