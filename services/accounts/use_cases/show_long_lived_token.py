"""Show one of one's own long-lived tokens."""

from accounts.domain.access_tokens import LongLivedToken
from accounts.domain.principal import Principal
from accounts.outbound.access_tokens import find_token
from accounts.use_cases.authorize_caller import authorize_user, missing
from accounts.use_cases.context import Context


async def show_personal_token(context: Context, caller: Principal, token_id: str) -> LongLivedToken:
    """Raises NotFound (is not there, is somebody else's, or has been revoked), Forbidden."""
    async with context.engine.begin() as connection:
        await authorize_user(connection, caller)
        token = await find_token(connection, "user", caller.subject, token_id)
    if token is None:
        raise missing()
    return token
