"""List the keys of a project."""

from accounts.domain.key_filter import EVERY_KEY, KeyFilter
from accounts.domain.objects import Key
from accounts.domain.page import Page, PageAsk
from accounts.domain.principal import Principal
from accounts.outbound.keys import keys_of
from accounts.use_cases.authorize_caller import project_for
from accounts.use_cases.context import Context


async def list_keys(context: Context, caller: Principal, project_id: str, ask: PageAsk, only: KeyFilter = EVERY_KEY) -> Page[Key]:
    """One page, oldest first, all or those that a filter lets through. Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        await project_for(connection, caller, "keys.read", project_id)
        return await keys_of(connection, project_id, ask, only)
