"""Links for new passwords, in SQL: digests only."""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.outbound.tables import password_resets, users


async def add_reset(connection: AsyncConnection, *, reset_id: str, user_id: str, digest: str, lasts: timedelta) -> datetime:
    """Insert a link; when it expires."""
    found = await connection.execute(
        insert(password_resets)
        .values(id=reset_id, user_id=user_id, digest=digest, expires_at=func.now() + lasts)
        .returning(password_resets.c.expires_at)
    )
    expires: datetime = found.scalar_one()
    return expires


async def resets_since(connection: AsyncConnection, user_id: str, ago: timedelta) -> int:
    """How many links were made for a user lately."""
    found = await connection.execute(
        select(func.count())
        .select_from(password_resets)
        .where(password_resets.c.user_id == user_id, password_resets.c.created_at > func.now() - ago)
    )
    return found.scalar_one()


async def user_of_reset(connection: AsyncConnection, digest: str, *, locked: bool = False) -> str | None:
    """Whose link has this digest, if it is open and its user active; `locked` lets nobody else use it."""
    query = (
        select(password_resets.c.user_id)
        .join(users, users.c.id == password_resets.c.user_id)
        .where(
            password_resets.c.digest == digest,
            password_resets.c.used_at.is_(None),
            password_resets.c.expires_at > func.now(),
            users.c.status == "active",
        )
    )
    found = await connection.execute(query.with_for_update(of=password_resets) if locked else query)
    user_id: str | None = found.scalar_one_or_none()
    return user_id


async def spend_resets(connection: AsyncConnection, user_id: str) -> None:
    """Close all open links of a user."""
    await connection.execute(
        update(password_resets)
        .where(password_resets.c.user_id == user_id, password_resets.c.used_at.is_(None))
        .values(used_at=func.now())
    )


async def forget_resets(connection: AsyncConnection, older_than: timedelta) -> None:
    """Delete links that expired so long ago."""
    await connection.execute(delete(password_resets).where(password_resets.c.expires_at < func.now() - older_than))
