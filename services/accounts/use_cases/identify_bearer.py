"""Find who is behind a bearer token of the management API."""

from accounts.domain.principal import Origin, Principal
from accounts.outbound.users import known_user
from accounts.use_cases.context import Context
from common.contracts.access_tokens import InvalidToken, verify


async def identify_bearer(context: Context, token: str, origin: Origin) -> Principal | None:
    """The caller, or None whatever was wrong with the token."""
    try:
        identity = verify(token, context.signer.keys)
    except InvalidToken:
        return None
    async with context.engine.begin() as connection:
        user = await known_user(connection, identity.user_id)
    if user is None or user.status != "active":
        return None
    return Principal(
        kind="user",
        id=identity.user_id,
        name=user.email,
        operator=user.operator,
        scopes=None if identity.scopes is None else frozenset(identity.scopes),
        session_id=identity.session_id,
        origin=origin,
    )
