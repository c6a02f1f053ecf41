"""People in SQL."""

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.outbound.tables import users


class Credentials(msgspec.Struct, frozen=True):
    """What a login is checked against."""

    user_id: str
    email: str
    operator: bool
    password_hash: str | None
    status: str


async def add_user(connection: AsyncConnection, user_id: str, email: str, password_hash: str) -> None:
    """Insert a user; raises IntegrityError when the email is taken, whatever its case."""
    await connection.execute(insert(users).values(id=user_id, email=email, password_hash=password_hash))


async def credentials_of(connection: AsyncConnection, email: str) -> Credentials | None:
    """The credentials behind an email, whatever its case."""
    found = await connection.execute(
        select(users.c.id, users.c.email, users.c.operator, users.c.password_hash, users.c.status).where(
            func.lower(users.c.email) == func.lower(email)
        )
    )
    row = found.one_or_none()
    return None if row is None else Credentials(row.id, row.email, row.operator, row.password_hash, row.status)


class Known(msgspec.Struct, frozen=True):
    """Who a user is, as the audit log names them."""

    email: str
    operator: bool
    status: str


async def known_user(connection: AsyncConnection, user_id: str) -> Known | None:
    """Email, standing and status of a user."""
    found = await connection.execute(select(users.c.email, users.c.operator, users.c.status).where(users.c.id == user_id))
    row = found.one_or_none()
    return None if row is None else Known(row.email, row.operator, row.status)


async def is_active(connection: AsyncConnection, user_id: str) -> bool:
    """Whether the user exists and may act."""
    found = await connection.execute(select(users.c.status).where(users.c.id == user_id))
    return found.scalar_one_or_none() == "active"
