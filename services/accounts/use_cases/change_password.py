"""Change one's own password, and the rule that every new one is held to."""

import time

from accounts.domain.principal import Principal
from accounts.domain.users import password_problem
from accounts.outbound.audit import note
from accounts.outbound.sessions import end_sessions
from accounts.outbound.users import find_user, password_hash_of, set_password
from accounts.use_cases.authorize_caller import authorize_user, missing
from accounts.use_cases.context import Context
from common.problems import Conflict, Forbidden, Invalid, TooManyRequests


async def change_password(context: Context, caller: Principal, *, current: str, new: str) -> None:
    """Ends all other sessions of the caller. Raises Forbidden (the present password is another), Invalid, TooManyRequests."""
    wait = context.logins.attempt(f"password {caller.id}", time.monotonic())
    if wait:
        raise TooManyRequests("Too many attempts; wait a little.", retry_after_seconds=int(wait) + 1)
    async with context.engine.begin() as connection:
        await authorize_user(connection, caller)
        user = await find_user(connection, caller.subject)
        stored = await password_hash_of(connection, caller.subject)
    if user is None:
        raise missing()
    require_acceptable(new, user.email, field="new_password")
    if not await context.passwords.verify(current, stored):
        raise Forbidden("The current password is wrong.")
    hashed = await context.passwords.hash(new)
    async with context.engine.begin() as connection:
        await find_user(connection, caller.subject, locked=True)
        if await password_hash_of(connection, caller.subject) != stored:
            raise Conflict("The password was changed by another request meanwhile.")
        await set_password(connection, caller.subject, hashed)
        ended = await end_sessions(connection, caller.subject, "password", but=caller.session_id)
        await note(connection, caller, "password.changed", caller.subject, after={"sessions_ended": ended})


def require_acceptable(password: str, email: str, *, field: str = "password") -> None:
    """Raises Invalid, naming the field and not the value."""
    problem = password_problem(password, email)
    if problem is not None:
        raise Invalid("The password is not acceptable.", errors=[{"field": field, "message": problem}])
