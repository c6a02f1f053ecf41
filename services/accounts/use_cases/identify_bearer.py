"""Find who is behind a bearer token of the management API."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.opaque_tokens import digest_of, kind_of
from accounts.domain.principal import Origin, Principal
from accounts.outbound.bearers import Bearer, mark_used, service_account_bearer, token_bearer, user_bearer
from accounts.use_cases.context import Context
from common.contracts.access_tokens import Identity, InvalidToken, verify


async def identify_bearer(context: Context, token: str, origin: Origin) -> Principal | None:
    """The caller, or None whatever was wrong with the token.

    The database is asked each time, so that a token is refused at once when its sign-in, the token or its bearer has ended.
    """
    if kind_of(token) in ("personal", "service_account"):
        async with context.engine.begin() as connection:
            return await _by_token(connection, token, origin)
    try:
        identity = verify(token, context.signer.keys)
    except InvalidToken:
        return None
    async with context.engine.begin() as connection:
        return await _by_identity(connection, identity, origin)


async def _by_token(connection: AsyncConnection, token: str, origin: Origin) -> Principal | None:
    found = await token_bearer(connection, digest_of(token))
    if found is None or found.token_id is None:
        return None
    if found.stale:
        await mark_used(connection, found.token_id)
    return Principal(
        kind="service_account" if found.service_account else "user",
        id=found.id,
        name=found.name,
        operator=found.operator,
        scopes=None if found.scopes is None else frozenset(found.scopes),  # type: ignore[arg-type] # checked when it was made
        token_id=found.token_id,
        origin=origin,
    )


async def _by_identity(connection: AsyncConnection, identity: Identity, origin: Origin) -> Principal | None:
    ask = user_bearer if identity.kind == "user" else service_account_bearer
    found: Bearer | None = await ask(connection, identity.user_id, identity.session_id)
    if found is None:
        return None
    return Principal(
        kind=identity.kind,
        id=found.id,
        name=found.name,
        operator=found.operator,
        scopes=None if identity.scopes is None else frozenset(identity.scopes),
        session_id=found.session_id,
        token_id=found.token_id,
        origin=origin,
    )
