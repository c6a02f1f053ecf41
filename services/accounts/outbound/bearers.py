"""Who stands behind a token, in one query each: nobody when the person, the sign-in or the token has come to an end."""

import msgspec
from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.outbound.tables import access_tokens, service_accounts, sessions, users

USED_EVERY_SECONDS = 60
"""How coarse `last_used_at` is: a token costs at most one write in so many seconds."""


class Bearer(msgspec.Struct, frozen=True, kw_only=True):
    """A user or a service account; by a sign-in (`session_id`) or a long-lived token (`token_id`)."""

    id: str
    name: str
    operator: bool = False
    session_id: str | None = None
    token_id: str | None = None


class TokenBearer(Bearer, frozen=True, kw_only=True):
    """Whose long-lived token it is, and what it is for. `stale`: its last use has not been written for a while."""

    service_account: bool
    scopes: list[str] | None
    stale: bool


def _token_lives() -> ColumnElement[bool]:
    expires = access_tokens.c.expires_at
    return and_(access_tokens.c.revoked_at.is_(None), or_(expires.is_(None), expires > func.now()))


async def user_bearer(connection: AsyncConnection, user_id: str, sign_in: str | None) -> Bearer | None:
    """The user, if active, and if the sign-in or the long-lived token of that identifier lives."""
    session = and_(sessions.c.id == sign_in, sessions.c.user_id == users.c.id, sessions.c.ended_at.is_(None))
    token = and_(access_tokens.c.id == sign_in, access_tokens.c.user_id == users.c.id, _token_lives())
    found = await connection.execute(
        select(users.c.email, users.c.operator, sessions.c.id, access_tokens.c.id)
        .select_from(users)
        .join(sessions, session, isouter=True)
        .join(access_tokens, token, isouter=True)
        .where(users.c.id == user_id, users.c.status == "active")
        .where(func.num_nonnulls(sessions.c.id, access_tokens.c.id) > 0)
    )
    row = found.one_or_none()
    if row is None:
        return None
    email, operator, session_id, token_id = row
    return Bearer(id=user_id, name=email, operator=operator, session_id=session_id, token_id=token_id)


async def service_account_bearer(connection: AsyncConnection, service_account_id: str, token_id: str | None) -> Bearer | None:
    """The service account, if active, and if its token lives."""
    found = await connection.execute(
        select(service_accounts.c.name)
        .join(access_tokens, access_tokens.c.service_account_id == service_accounts.c.id)
        .where(service_accounts.c.id == service_account_id, service_accounts.c.status == "active")
        .where(access_tokens.c.id == token_id, _token_lives())
    )
    name = found.scalar_one_or_none()
    return None if name is None else Bearer(id=service_account_id, name=name, token_id=token_id)


async def token_bearer(connection: AsyncConnection, digest: str) -> TokenBearer | None:
    """Whose long-lived token has this digest, if both live."""
    used = access_tokens.c.last_used_at
    stale = or_(used.is_(None), used < func.now() - func.make_interval(0, 0, 0, 0, 0, 0, USED_EVERY_SECONDS))
    found = await connection.execute(
        select(
            access_tokens.c.id.label("token_id"),
            access_tokens.c.scopes,
            func.coalesce(users.c.id, service_accounts.c.id).label("bearer_id"),
            func.coalesce(users.c.email, service_accounts.c.name).label("name"),
            func.coalesce(users.c.operator, False).label("operator"),
            service_accounts.c.id.is_not(None).label("service_account"),
            stale.label("stale"),
        )
        .select_from(access_tokens)
        .join(users, and_(users.c.id == access_tokens.c.user_id, users.c.status == "active"), isouter=True)
        .join(
            service_accounts,
            and_(service_accounts.c.id == access_tokens.c.service_account_id, service_accounts.c.status == "active"),
            isouter=True,
        )
        .where(access_tokens.c.digest == digest, _token_lives())
        .where(func.num_nonnulls(users.c.id, service_accounts.c.id) > 0)
    )
    row = found.mappings().one_or_none()
    if row is None:
        return None
    return TokenBearer(**{("id" if name == "bearer_id" else name): value for name, value in row.items()})


async def mark_used(connection: AsyncConnection, token_id: str) -> None:
    """Write down that a token is in use now."""
    await connection.execute(update(access_tokens).where(access_tokens.c.id == token_id).values(last_used_at=func.now()))
