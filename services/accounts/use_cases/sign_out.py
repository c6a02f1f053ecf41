"""Sign out: here, somewhere else, or everywhere."""

from accounts.domain.principal import Principal
from accounts.outbound.access_tokens import revoke_tokens
from accounts.outbound.audit import note
from accounts.outbound.sessions import end_session, end_sessions
from accounts.use_cases.authorize_caller import authorize_user, missing
from accounts.use_cases.context import Context
from common.problems import Forbidden


async def sign_out(context: Context, caller: Principal, session_id: str | None = None) -> None:
    """End the session that the caller came with, or another of theirs. Raises Forbidden (came with none), NotFound."""
    wanted = session_id or caller.session_id
    if wanted is None:
        raise Forbidden("This token belongs to no sign-in; revoke the token instead.")
    async with context.engine.begin() as connection:
        await authorize_user(connection, caller)
        if await end_session(connection, caller.subject, wanted, "signed_out") is None:
            raise missing()
        await note(connection, caller, "auth.signed_out", wanted)


async def sign_out_everywhere(context: Context, caller: Principal, *, personal_tokens: bool) -> tuple[int, int]:
    """End all sessions of the caller, this one too, and on demand all personal tokens; how many of each there were."""
    async with context.engine.begin() as connection:
        await authorize_user(connection, caller)
        ended = await end_sessions(connection, caller.subject, "signed_out_everywhere")
        revoked = await revoke_tokens(connection, "user", caller.subject) if personal_tokens else 0
        counts = {"sessions": ended, "personal_tokens": revoked}
        await note(connection, caller, "auth.signed_out_everywhere", caller.subject, after=counts)
    return ended, revoked
