"""Long-lived tokens in SQL: digests only."""

from typing import Any, Literal

from sqlalchemy import Column, RowMapping, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.access_tokens import LongLivedToken
from accounts.domain.page import Page, PageAsk
from accounts.outbound.paging import page_of
from accounts.outbound.rows import shaped
from accounts.outbound.tables import access_tokens

BearerKind = Literal["user", "service_account"]
MOST_LIVE = 100
"""Of one bearer."""

_SHOWN: list[Column[Any]] = [column for column in access_tokens.c if column.name != "digest"]
_BEARER: dict[BearerKind, Column[Any]] = {"user": access_tokens.c.user_id, "service_account": access_tokens.c.service_account_id}


def _token(row: RowMapping) -> LongLivedToken:
    return shaped(row, LongLivedToken)


async def add_token(connection: AsyncConnection, **values: Any) -> LongLivedToken:
    """Insert a token."""
    found = await connection.execute(insert(access_tokens).values(**values).returning(*_SHOWN))
    return _token(found.mappings().one())


async def count_live(connection: AsyncConnection, kind: BearerKind, bearer_id: str) -> int:
    """How many tokens of a bearer work at present."""
    lives = or_(access_tokens.c.expires_at.is_(None), access_tokens.c.expires_at > func.now())
    query = select(func.count()).where(_BEARER[kind] == bearer_id, access_tokens.c.revoked_at.is_(None), lives)
    return int((await connection.execute(query)).scalar_one())


async def tokens_of(connection: AsyncConnection, kind: BearerKind, bearer_id: str, ask: PageAsk) -> Page[LongLivedToken]:
    """The tokens of a bearer that have not been revoked, expired ones included."""
    query = select(*_SHOWN).where(_BEARER[kind] == bearer_id, access_tokens.c.revoked_at.is_(None))
    return await page_of(connection, query, access_tokens.c.id, ask, _token)


async def find_token(connection: AsyncConnection, kind: BearerKind, bearer_id: str, token_id: str) -> LongLivedToken | None:
    """One token of a bearer, also an expired one; None when it is not there or was revoked."""
    query = select(*_SHOWN).where(
        access_tokens.c.id == token_id, _BEARER[kind] == bearer_id, access_tokens.c.revoked_at.is_(None)
    )
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else _token(row)


async def revoke_token(connection: AsyncConnection, kind: BearerKind, bearer_id: str, token_id: str) -> LongLivedToken | None:
    """Revoke one token of a bearer, None when it is not there or was revoked before."""
    found = await connection.execute(
        update(access_tokens)
        .where(access_tokens.c.id == token_id, _BEARER[kind] == bearer_id, access_tokens.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(*_SHOWN)
    )
    row = found.mappings().one_or_none()
    return None if row is None else _token(row)


async def revoke_tokens(connection: AsyncConnection, kind: BearerKind, bearer_id: str) -> int:
    """Revoke all tokens of a bearer; how many there were."""
    revoked = update(access_tokens).where(_BEARER[kind] == bearer_id, access_tokens.c.revoked_at.is_(None))
    return (await connection.execute(revoked.values(revoked_at=func.now()))).rowcount
