"""Show one key, without its secret: nobody has that any more."""

from accounts.domain.objects import Key
from accounts.domain.principal import Principal
from accounts.use_cases.authorize_caller import key_for
from accounts.use_cases.context import Context


async def show_key(context: Context, caller: Principal, project_id: str, key_id: str) -> Key:
    """Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        return await key_for(connection, caller, project_id, key_id)
