"""Log in with an email and its password."""

import time

from accounts.domain.principal import Origin
from accounts.domain.sessions import Tokens
from accounts.outbound.metrics import LOGINS
from accounts.outbound.users import credentials_of
from accounts.use_cases.context import Context
from accounts.use_cases.open_session import open_session
from common.problems import TooManyRequests, Unauthenticated


async def log_in(context: Context, *, email: str, password: str, origin: Origin) -> Tokens:
    """The tokens. Raises Unauthenticated whatever was wrong, after the same work; TooManyRequests when somebody is guessing.

    Throttled per email and address together: nobody can lock somebody else out from elsewhere.
    """
    wait = context.logins.attempt(f"{email.lower()} {origin.address}", time.monotonic())
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
        opened = await open_session(context, connection, known.user_id, method="password", origin=origin)
    LOGINS.labels("ok").inc()
    return opened
