"""Sign-ins in SQL. Of a refresh token only its digest is known, of one that was used too."""

from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Column, RowMapping, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.page import Page, PageAsk
from accounts.domain.sessions import EndReason, Method, Session
from accounts.outbound.paging import page_of
from accounts.outbound.rows import shaped
from accounts.outbound.tables import sessions, spent_refresh_tokens, users

_SHOWN: list[Column[Any]] = [column for column in sessions.c if column.name != "refresh_digest"]


class Spent(msgspec.Struct, frozen=True):
    """A refresh token that was used before. `overlapped`: by a request that had not ended when the present one began."""

    session_id: str
    user_id: str
    email: str
    overlapped: bool


def _session(row: RowMapping) -> Session:
    return shaped(row, Session)


async def add_session(
    connection: AsyncConnection,
    *,
    session_id: str,
    user_id: str,
    method: Method,
    digest: str,
    address: str,
    agent: str,
    lasts: timedelta,
) -> Session:
    """Insert a sign-in."""
    values = {
        "id": session_id,
        "user_id": user_id,
        "method": method,
        "refresh_digest": digest,
        "address": address,
        "agent": agent,
    }
    found = await connection.execute(
        insert(sessions).values(**values, refreshed_at=func.now(), expires_at=func.now() + lasts).returning(*_SHOWN)
    )
    return _session(found.mappings().one())


async def live_session_for(connection: AsyncConnection, digest: str) -> Session | None:
    """The session whose present refresh token this is, if it lives and its user may act; locked.

    Of two requests with the same token the second waits here, and then finds nothing.
    """
    found = await connection.execute(
        select(*_SHOWN)
        .join(users, users.c.id == sessions.c.user_id)
        .where(
            sessions.c.refresh_digest == digest,
            sessions.c.ended_at.is_(None),
            sessions.c.expires_at > func.now(),
            users.c.status == "active",
        )
        .with_for_update(of=sessions)
    )
    row = found.mappings().one_or_none()
    return None if row is None else _session(row)


async def renew_session(connection: AsyncConnection, session_id: str, *, spent: str, digest: str, lasts: timedelta) -> Session:
    """Put another refresh token in the place of the one that is spent now."""
    await connection.execute(
        insert(spent_refresh_tokens).values(digest=spent, session_id=session_id, spent_at=func.clock_timestamp())
    )
    found = await connection.execute(
        update(sessions)
        .where(sessions.c.id == session_id)
        .values(refresh_digest=digest, refreshed_at=func.now(), expires_at=func.now() + lasts)
        .returning(*_SHOWN)
    )
    return _session(found.mappings().one())


async def spent_token(connection: AsyncConnection, digest: str) -> Spent | None:
    """What is known of a used refresh token, if its session lives.

    A transaction's now() is its beginning, so a token that was spent later than that was spent while this request waited.
    """
    found = await connection.execute(
        select(sessions.c.id, users.c.id, users.c.email, spent_refresh_tokens.c.spent_at > func.now())
        .select_from(spent_refresh_tokens)
        .join(sessions, sessions.c.id == spent_refresh_tokens.c.session_id)
        .join(users, users.c.id == sessions.c.user_id)
        .where(spent_refresh_tokens.c.digest == digest, sessions.c.ended_at.is_(None))
    )
    row = found.one_or_none()
    return None if row is None else Spent(*row)


async def end_session(connection: AsyncConnection, user_id: str, session_id: str, reason: EndReason) -> Session | None:
    """End one sign-in of a user, None when it is not there or has ended before."""
    found = await connection.execute(
        update(sessions)
        .where(sessions.c.id == session_id, sessions.c.user_id == user_id, sessions.c.ended_at.is_(None))
        .values(ended_at=func.now(), end_reason=reason)
        .returning(*_SHOWN)
    )
    row = found.mappings().one_or_none()
    return None if row is None else _session(row)


async def end_sessions(connection: AsyncConnection, user_id: str, reason: EndReason, *, but: str | None = None) -> int:
    """End all sign-ins of a user, or all but one; how many there were."""
    ended = update(sessions).where(sessions.c.user_id == user_id, sessions.c.ended_at.is_(None))
    if but is not None:
        ended = ended.where(sessions.c.id != but)
    return (await connection.execute(ended.values(ended_at=func.now(), end_reason=reason))).rowcount


async def sessions_of(connection: AsyncConnection, user_id: str, ask: PageAsk) -> Page[Session]:
    """The sign-ins of a user that live."""
    query = select(*_SHOWN).where(
        sessions.c.user_id == user_id, sessions.c.ended_at.is_(None), sessions.c.expires_at > func.now()
    )
    return await page_of(connection, query, sessions.c.id, ask, _session)


async def forget_sessions(connection: AsyncConnection, older_than: timedelta) -> None:
    """Delete sign-ins that ended or expired so long ago, and spent tokens of that age."""
    moment = func.now() - older_than
    await connection.execute(delete(spent_refresh_tokens).where(spent_refresh_tokens.c.spent_at < moment))
    await connection.execute(delete(sessions).where(func.coalesce(sessions.c.ended_at, sessions.c.expires_at) < moment))
