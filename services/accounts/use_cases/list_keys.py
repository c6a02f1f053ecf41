"""List the keys of a project."""

from accounts.domain.objects import Key
from accounts.domain.page import Page, PageAsk
from accounts.outbound.keys import keys_of
from accounts.use_cases.authorize_caller import project_for
from accounts.use_cases.context import Context
from common.contracts.access_tokens import Identity


async def list_keys(context: Context, identity: Identity, project_id: str, ask: PageAsk, status: str | None = None) -> Page[Key]:
    """One page, oldest first, all or those with a status. Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        await project_for(connection, identity, "keys.read", project_id)
        return await keys_of(connection, project_id, ask, status)
