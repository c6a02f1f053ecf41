"""Refresh a session: a refresh token for the next one and a fresh access token."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.opaque_tokens import digest_of, kind_of, make
from accounts.domain.principal import Origin, Principal
from accounts.domain.sessions import Tokens
from accounts.outbound.audit import note
from accounts.outbound.sessions import end_session, live_session_for, renew_session, spent_token
from accounts.use_cases.context import Context
from accounts.use_cases.open_session import tokens_of
from common.problems import Conflict, Unauthenticated


async def refresh_session(context: Context, refresh_token: str, origin: Origin) -> Tokens:
    """Raises Unauthenticated whatever is wrong with the token, and Conflict for the loser of two requests at the same time.

    A token that comes again after it was used is in two hands: the session ends, for nobody knows whose hands are the right ones.
    """
    digest = digest_of(refresh_token)
    if kind_of(refresh_token) == "refresh":
        async with context.engine.begin() as connection:
            session = await live_session_for(connection, digest)
            if session is not None:
                successor = make("refresh")
                renewed = await renew_session(
                    connection, session.id, spent=digest, digest=digest_of(successor), lasts=context.session_lasts
                )
                return await tokens_of(context, connection, renewed, successor)
            await _look_for_reuse(connection, digest, origin)
    raise Unauthenticated("The refresh token is not valid. Sign in again.")


async def _look_for_reuse(connection: AsyncConnection, digest: str, origin: Origin) -> None:
    spent = await spent_token(connection, digest)
    if spent is None:
        return
    if spent.overlapped:
        raise Conflict("This token is being used by another request at this moment; its answer has the next one.")
    await end_session(connection, spent.user_id, spent.session_id, "reuse")
    stranger = Principal(kind="anonymous", id=None, name=spent.email, origin=origin)
    await note(connection, stranger, "auth.refresh_reused", spent.session_id, after={"user_id": spent.user_id})
