"""Show who the caller is and which roles the database gives it now, whatever its token was signed with."""

from accounts.domain.principal import Principal
from accounts.outbound.members import roles_of
from accounts.use_cases.context import Context
from common.contracts.access_tokens import Identity


async def show_identity(context: Context, caller: Principal) -> Identity:
    """The caller with its present roles."""
    async with context.engine.begin() as connection:
        return Identity(user_id=caller.subject, roles=await roles_of(connection, caller.subject))
