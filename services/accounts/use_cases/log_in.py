"""Log in with an email and its password."""

import math
import time
from datetime import timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.lock_out import failed_anywhere, failed_here, wait_before_attempt
from accounts.domain.principal import Origin, Principal
from accounts.domain.sessions import Tokens
from accounts.outbound.audit import note
from accounts.outbound.known_addresses import is_known_address
from accounts.outbound.login_failures import forgive, lock_tallies, save_tallies
from accounts.outbound.metrics import LOGINS
from accounts.outbound.users import Credentials, credentials_of
from accounts.use_cases.context import Context
from accounts.use_cases.open_session import open_session
from common.problems import TooManyRequests, Unauthenticated

LONGEST_EMAIL = 254


async def log_in(context: Context, *, email: str, password: str, origin: Origin) -> Tokens:
    """The tokens. Raises Unauthenticated whatever was wrong, after the same work; TooManyRequests when somebody is guessing.

    An attempt is counted before it is looked at, so that many at the same time are not fewer than one after the other. What is
    audited are attempts that were looked at, the last one before a wait with its length: a flood does not fill the log.
    """
    _slow_down(context, email, origin)
    async with context.engine.begin() as connection:
        known = await credentials_of(connection, email)
        closed = await _count(connection, email, known, origin)
    right = await context.passwords.verify(password, None if known is None else known.password_hash)
    if known is None or not right or known.status != "active":
        await _refuse(context, email, known, origin, right=right, closed=closed)
        raise Unauthenticated("The email or the password is wrong.")
    async with context.engine.begin() as connection:
        await forgive(connection, email, origin.address)
        opened = await open_session(context, connection, known.user_id, method="password", origin=origin)
    LOGINS.labels("ok").inc()
    return opened


def _slow_down(context: Context, email: str, origin: Origin) -> None:
    """From memory, so that a flood does not reach the database."""
    now = time.monotonic()
    wait = context.login_addresses.attempt(origin.address, now) or context.logins.attempt(
        f"{email.lower()} {origin.address}", now
    )
    if wait:
        raise _throttled(wait)


async def _count(connection: AsyncConnection, email: str, known: Credentials | None, origin: Origin) -> timedelta:
    """How long this address has to wait after this attempt, should it fail."""
    tallies = await lock_tallies(connection, email, origin.address)
    at_home = known is not None and await is_known_address(connection, known.user_id, origin.address)
    wait = wait_before_attempt(tallies.here, tallies.everywhere, known_address=at_home, now=tallies.now)
    if wait:
        raise _throttled(wait.total_seconds())
    here, everywhere = failed_here(tallies.here, tallies.now), failed_anywhere(tallies.everywhere, tallies.now)
    await save_tallies(connection, msgspec.structs.replace(tallies, here=here, everywhere=everywhere))
    return wait_before_attempt(here, everywhere, known_address=at_home, now=tallies.now)


async def _refuse(
    context: Context, email: str, known: Credentials | None, origin: Origin, *, right: bool, closed: timedelta
) -> None:
    LOGINS.labels("refused").inc()
    reason = "unknown" if known is None else "suspended" if right else "password"
    stranger = Principal(kind="anonymous", id=None, name=email[:LONGEST_EMAIL], origin=origin)
    told = {"reason": reason} | ({"closed_seconds": math.ceil(closed.total_seconds())} if closed else {})
    async with context.engine.begin() as connection:
        user_id = None if known is None else known.user_id
        await note(connection, stranger, "auth.sign_in_refused", user_id, after=told)


def _throttled(seconds: float) -> TooManyRequests:
    LOGINS.labels("throttled").inc()
    return TooManyRequests("Too many attempts to sign in; wait a little.", retry_after_seconds=max(1, math.ceil(seconds)))
