"""Log in: an access token for an email and its password."""

import time

from accounts.outbound.members import roles_of
from accounts.outbound.metrics import LOGINS
from accounts.outbound.users import credentials_of
from accounts.use_cases.context import Context
from common.contracts.access_tokens import Identity
from common.problems import TooManyRequests, Unauthenticated


async def log_in(context: Context, *, email: str, password: str, address: str) -> str:
    """The token. Raises Unauthenticated whatever was wrong, after the same work; TooManyRequests when somebody is guessing.

    Throttled per email and address together: nobody can lock somebody else out from elsewhere.
    """
    wait = context.logins.attempt(f"{email.lower()} {address}", time.monotonic())
    if wait:
        LOGINS.labels("throttled").inc()
        raise TooManyRequests("Too many attempts to sign in; wait a little.", retry_after_seconds=int(wait) + 1)
    async with context.engine.begin() as connection:
        known = await credentials_of(connection, email)
    right = await context.passwords.verify(password, None if known is None else known.password_hash)
    if known is None or not right or known.status != "active":
        LOGINS.labels("refused").inc()
        raise Unauthenticated("The email or the password is wrong.")
    async with context.engine.begin() as connection:
        roles = await roles_of(connection, known.user_id)
    LOGINS.labels("ok").inc()
    return context.signer.sign(Identity(user_id=known.user_id, roles=roles))
