"""Open a session: somebody has proved who they are."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.opaque_tokens import digest_of, make
from accounts.domain.principal import Origin, Principal
from accounts.domain.sessions import Method, Session, Tokens
from accounts.outbound.audit import note
from accounts.outbound.known_addresses import remember_address
from accounts.outbound.members import roles_of
from accounts.outbound.sessions import add_session
from accounts.outbound.users import known_user
from accounts.use_cases.context import Context
from common.contracts.access_tokens import Identity
from common.contracts.identifiers import uuid7
from common.problems import Unauthenticated


async def open_session(context: Context, connection: AsyncConnection, user_id: str, *, method: Method, origin: Origin) -> Tokens:
    """The tokens of a new sign-in, which is audited; they work once the caller's transaction has been committed.

    Raises Unauthenticated when the user is gone or suspended.
    """
    user = await known_user(connection, user_id)
    if user is None or user.status != "active":
        raise Unauthenticated("This user may not sign in.")
    refresh_token = make("refresh")
    session = await add_session(
        connection,
        session_id=uuid7(),
        user_id=user_id,
        method=method,
        digest=digest_of(refresh_token),
        address=origin.address,
        agent=origin.agent,
        lasts=context.session_lasts,
    )
    await remember_address(connection, user_id, origin.address)
    caller = Principal(kind="user", id=user_id, name=user.email, session_id=session.id, origin=origin)
    await note(connection, caller, "auth.signed_in", session.id, after={"method": method})
    return await tokens_of(context, connection, session, refresh_token)


async def tokens_of(context: Context, connection: AsyncConnection, session: Session, refresh_token: str) -> Tokens:
    """A session's refresh token with a fresh access token, which names the roles of this moment."""
    roles = await roles_of(connection, session.user_id)
    identity = Identity(user_id=session.user_id, roles=roles, session_id=session.id)
    return Tokens(
        access_token=context.signer.sign(identity),
        expires_in=context.signer.lifetime_seconds,
        refresh_token=refresh_token,
        session_id=session.id,
        session_expires_at=session.expires_at,
    )
