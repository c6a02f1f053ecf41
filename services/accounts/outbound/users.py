"""People and their memberships in SQL."""

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.outbound.tables import memberships, users
from common.contracts.roles import Role


class Credentials(msgspec.Struct, frozen=True):
    """What a login is checked against."""

    user_id: str
    password_hash: str
    status: str


async def add_user(connection: AsyncConnection, user_id: str, email: str, password_hash: str) -> None:
    """Insert a user; raises IntegrityError when the email is taken, whatever its case."""
    await connection.execute(insert(users).values(id=user_id, email=email, password_hash=password_hash))


async def credentials_of(connection: AsyncConnection, email: str) -> Credentials | None:
    """The credentials behind an email, whatever its case."""
    found = await connection.execute(
        select(users.c.id, users.c.password_hash, users.c.status).where(func.lower(users.c.email) == func.lower(email))
    )
    row = found.one_or_none()
    return None if row is None else Credentials(row.id, row.password_hash, row.status)


async def is_active(connection: AsyncConnection, user_id: str) -> bool:
    """Whether the user exists and may act."""
    found = await connection.execute(select(users.c.status).where(users.c.id == user_id))
    return found.scalar_one_or_none() == "active"


async def add_membership(connection: AsyncConnection, user_id: str, organization_id: str, role: Role) -> None:
    """Make a user a member of an organization."""
    await connection.execute(insert(memberships).values(user_id=user_id, organization_id=organization_id, role=role))


async def role_of(connection: AsyncConnection, user_id: str, organization_id: str) -> str | None:
    """The role of an active user in an organization, None for strangers."""
    found = await connection.execute(
        select(memberships.c.role)
        .join(users, users.c.id == memberships.c.user_id)
        .where(memberships.c.user_id == user_id, memberships.c.organization_id == organization_id, users.c.status == "active")
    )
    return found.scalar_one_or_none()


async def roles_of(connection: AsyncConnection, user_id: str) -> dict[str, Role]:
    """All roles of a user, by organization."""
    found = await connection.execute(
        select(memberships.c.organization_id, memberships.c.role).where(memberships.c.user_id == user_id)
    )
    return {row.organization_id: row.role for row in found}
