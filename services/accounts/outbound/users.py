"""People in SQL."""

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, RowMapping, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.page import Page, PageAsk
from accounts.domain.users import User
from accounts.outbound.paging import page_of
from accounts.outbound.rows import shaped
from accounts.outbound.tables import users

FIRST_USER_LOCK = 4_848_236_203

_SHOWN: list[ColumnElement[Any]] = [
    column for column in users.c if column.name not in ("password_hash", "password_changed_at")
] + [users.c.password_hash.is_not(None).label("has_password")]


class Credentials(msgspec.Struct, frozen=True):
    """What a login is checked against."""

    user_id: str
    email: str
    operator: bool
    password_hash: str | None
    status: str


def _user(row: RowMapping) -> User:
    return shaped(row, User)


async def add_user(
    connection: AsyncConnection,
    user_id: str,
    email: str,
    password_hash: str | None,
    name: str = "",
    *,
    operator: bool = False,
) -> User:
    """Insert a user; raises IntegrityError when the email is taken, whatever its case."""
    values = {"id": user_id, "email": email, "password_hash": password_hash, "name": name, "operator": operator}
    found = await connection.execute(insert(users).values(values).returning(*_SHOWN))
    return _user(found.mappings().one())


async def find_user(connection: AsyncConnection, user_id: str, *, locked: bool = False) -> User | None:
    """The user; `locked` keeps them unchanged until the end of the transaction."""
    query = select(*_SHOWN).where(users.c.id == user_id)
    found = await connection.execute(query.with_for_update(key_share=True) if locked else query)
    row = found.mappings().one_or_none()
    return None if row is None else _user(row)


async def lock_with_operators(connection: AsyncConnection, user_id: str) -> tuple[User | None, int]:
    """The user, and how many active operators there are besides; all of them locked, always in the same order."""
    operates = users.c.operator & (users.c.status == "active")
    found = await connection.execute(
        select(*_SHOWN).where(or_(users.c.id == user_id, operates)).order_by(users.c.id).with_for_update(key_share=True)
    )
    rows = [_user(row) for row in found.mappings()]
    others = sum(user.id != user_id for user in rows)
    return next((user for user in rows if user.id == user_id), None), others


async def users_page(connection: AsyncConnection, ask: PageAsk, *, email: str | None, status: str | None) -> Page[User]:
    """All users, or those with a status, or the one with an email, whatever its case."""
    query = select(*_SHOWN)
    if email is not None:
        query = query.where(func.lower(users.c.email) == func.lower(email))
    if status is not None:
        query = query.where(users.c.status == status)
    return await page_of(connection, query, users.c.id, ask, _user)


async def change_user(connection: AsyncConnection, user_id: str, **values: Any) -> User:
    """Change fields and raise the version; raises IntegrityError when the email is taken."""
    found = await connection.execute(
        update(users)
        .where(users.c.id == user_id)
        .values(**values, version=users.c.version + 1, updated_at=func.now())
        .returning(*_SHOWN)
    )
    return _user(found.mappings().one())


async def set_password(connection: AsyncConnection, user_id: str, password_hash: str) -> None:
    """Give a user another password."""
    await connection.execute(
        update(users).where(users.c.id == user_id).values(password_hash=password_hash, password_changed_at=func.now())
    )


async def password_hash_of(connection: AsyncConnection, user_id: str) -> str | None:
    """The hash of a user's password, if they have one."""
    found = await connection.execute(select(users.c.password_hash).where(users.c.id == user_id))
    hashed: str | None = found.scalar_one_or_none()
    return hashed


async def nobody_is_there(connection: AsyncConnection) -> bool:
    """Whether there is no user at all; until the end of the transaction nobody else can ask this and make the first."""
    await connection.execute(text(f"SELECT pg_advisory_xact_lock({FIRST_USER_LOCK})"))
    return (await connection.execute(select(users.c.id).limit(1))).one_or_none() is None


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
