"""Set a new password by the link of a reset."""

from accounts.domain.opaque_tokens import digest_of, kind_of
from accounts.domain.principal import Origin, Principal
from accounts.outbound.audit import note
from accounts.outbound.known_addresses import remember_address
from accounts.outbound.login_failures import forgive
from accounts.outbound.password_resets import spend_resets, user_of_reset
from accounts.outbound.sessions import end_sessions
from accounts.outbound.users import find_user, set_password
from accounts.use_cases.change_password import require_acceptable
from accounts.use_cases.context import Context
from common.problems import NotFound


async def reset_password(context: Context, token: str, new: str, origin: Origin) -> None:
    """Ends all sessions and all other links of the user. Raises NotFound (the link is wrong, used or too old), Invalid.

    Costs nothing before the token is found to be right, and nobody guesses one of those.
    """
    if kind_of(token) != "password_reset":
        raise _not_open()
    async with context.engine.begin() as connection:
        user_id = await user_of_reset(connection, digest_of(token))
        user = None if user_id is None else await find_user(connection, user_id)
    if user is None:
        raise _not_open()
    require_acceptable(new, user.email, field="new_password")
    hashed = await context.passwords.hash(new)
    async with context.engine.begin() as connection:
        if await user_of_reset(connection, digest_of(token), locked=True) is None:
            raise _not_open()
        await set_password(connection, user.id, hashed)
        await spend_resets(connection, user.id)
        ended = await end_sessions(connection, user.id, "password")
        await forgive(connection, user.email, origin.address)
        await remember_address(connection, user.id, origin.address)  # who could open the mail is not one of the guessers
        caller = Principal(kind="user", id=user.id, name=user.email, origin=origin)
        await note(connection, caller, "password.reset", user.id, after={"sessions_ended": ended})


def _not_open() -> NotFound:
    return NotFound("This link is not valid, or it has been used; ask for another one.")
