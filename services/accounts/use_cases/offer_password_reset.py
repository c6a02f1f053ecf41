"""Make a link by which somebody can set a new password: shown to an operator, or mailed to who asks for it."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.opaque_tokens import digest_of, make
from accounts.domain.password_reset import LASTS, MAILS_PER_HOUR, letter, link_of
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.password_resets import add_reset, resets_since
from accounts.outbound.users import credentials_of, find_user
from accounts.use_cases.authorize_caller import authorize_operator, missing
from accounts.use_cases.context import Context
from common.contracts.identifiers import uuid7
from common.problems import Conflict

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Offered:
    """A link that nobody can ever read again; `mailed`: a mail server has taken it."""

    link: str
    expires_at: datetime
    mailed: bool


async def offer_password_reset(context: Context, caller: Principal, user_id: str) -> Offered:
    """A link for a user, for an operator to pass on; mailed to the user too. Raises Forbidden, NotFound, Conflict (suspended)."""
    token = make("password_reset")
    async with context.engine.begin() as connection:
        await authorize_operator(connection, caller)
        user = await find_user(connection, user_id, locked=True)
        if user is None:
            raise missing()
        if user.status != "active":
            raise Conflict("The user is suspended.")
        expires = await _add(connection, caller, user_id, token)
    link = link_of(context.public_url, token)
    return Offered(link, expires, mailed=await context.mail.send(user.email, *letter(link)))


async def mail_password_reset(context: Context, caller: Principal, email: str) -> None:
    """Mail a link to the user with this email, if there is one who has a password. Says nothing and raises nothing: whoever asks
    must not learn who has an account, also not from the time it takes, so this runs after the answer.
    """
    if not context.mail.configured:
        return
    token = make("password_reset")
    try:
        async with context.engine.begin() as connection:
            user = await credentials_of(connection, email)
            if user is None or user.status != "active" or user.password_hash is None:
                return
            await find_user(connection, user.user_id, locked=True)
            if await resets_since(connection, user.user_id, timedelta(hours=1)) >= MAILS_PER_HOUR:
                return
            await _add(connection, msgspec.structs.replace(caller, name=user.email), user.user_id, token)
    except SQLAlchemyError as problem:
        log.warning("a link for a new password could not be made: %s", type(problem).__name__)
        return
    await context.mail.send(user.email, *letter(link_of(context.public_url, token)))


async def _add(connection: AsyncConnection, caller: Principal, user_id: str, token: str) -> datetime:
    expires = await add_reset(connection, reset_id=uuid7(), user_id=user_id, digest=digest_of(token), lasts=LASTS)
    await note(connection, caller, "password.reset_asked", user_id)
    return expires
