"""Memberships in SQL. One that ended stays as a row; joining again takes it up with a higher version."""

from typing import Any

import msgspec
from sqlalchemy import RowMapping, Select, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Member
from accounts.domain.page import Page, PageAsk
from accounts.outbound.limit_columns import joined
from accounts.outbound.paging import page_of
from accounts.outbound.tables import memberships, users
from common.contracts.roles import Role


def _query() -> Select[Any]:
    return select(memberships, users.c.email, users.c.name, users.c.status.label("user_status")).join(
        users, users.c.id == memberships.c.user_id
    )


def _member(row: RowMapping) -> Member:
    return msgspec.convert(joined(row), Member)


async def add_member(connection: AsyncConnection, user_id: str, organization_id: str, role: Role) -> Member:
    """Make a user an active member; one whose membership ended is one again. Limits of before stay."""
    # A suspension that is on its way waits, and then finds this membership; or this one waits and finds the suspension.
    await connection.execute(select(users.c.id).where(users.c.id == user_id).with_for_update(read=True))
    new = insert(memberships).values(user_id=user_id, organization_id=organization_id, role=role)
    await connection.execute(
        new.on_conflict_do_update(
            index_elements=["user_id", "organization_id"],
            set_={"role": role, "status": "active", "version": memberships.c.version + 1, "updated_at": func.now()},
        )
    )
    return await _present(connection, organization_id, user_id)


async def _present(connection: AsyncConnection, organization_id: str, user_id: str) -> Member:
    found = await connection.execute(
        _query().where(memberships.c.organization_id == organization_id, memberships.c.user_id == user_id)
    )
    return _member(found.mappings().one())


async def find_member(connection: AsyncConnection, organization_id: str, user_id: str, *, locked: bool = False) -> Member | None:
    """The membership, also one that is suspended or ended; `locked` keeps it unchanged until the end of the transaction."""
    query = _query().where(memberships.c.organization_id == organization_id, memberships.c.user_id == user_id)
    found = await connection.execute(query.with_for_update(of=memberships) if locked else query)
    row = found.mappings().one_or_none()
    return None if row is None else _member(row)


async def members_of(
    connection: AsyncConnection,
    organization_id: str,
    ask: PageAsk,
    role: Role | None,
    status: str | None,
    email: str | None,
) -> Page[Member]:
    """The members of an organization; without a status all but those whose membership ended; an email whatever its case."""
    query = _query().where(memberships.c.organization_id == organization_id)
    query = query.where(memberships.c.status != "ended" if status is None else memberships.c.status == status)
    if role is not None:
        query = query.where(memberships.c.role == role)
    if email is not None:
        query = query.where(func.lower(users.c.email) == func.lower(email))
    return await page_of(connection, query, memberships.c.user_id, ask, _member)


async def has_owner(connection: AsyncConnection, organization_id: str) -> bool:
    """Whether the organization has an owner who can act: an active membership of an active user."""
    owners = _query().where(
        memberships.c.organization_id == organization_id,
        memberships.c.role == "owner",
        memberships.c.status == "active",
        users.c.status == "active",
    )
    return (await connection.execute(owners.limit(1))).first() is not None


async def is_member_by_email(connection: AsyncConnection, organization_id: str, email: str) -> bool:
    """Whether a membership of somebody with this email, whatever its case, is active or suspended."""
    query = _query().where(
        memberships.c.organization_id == organization_id,
        memberships.c.status != "ended",
        func.lower(users.c.email) == func.lower(email),
    )
    return (await connection.execute(query)).first() is not None


async def change_member(connection: AsyncConnection, organization_id: str, user_id: str, **values: Any) -> Member:
    """Change fields and raise the version."""
    await connection.execute(
        update(memberships)
        .where(memberships.c.organization_id == organization_id, memberships.c.user_id == user_id)
        .values(**values, version=memberships.c.version + 1, updated_at=func.now())
    )
    return await _present(connection, organization_id, user_id)


async def touch_memberships(connection: AsyncConnection, user_id: str) -> list[Member]:
    """Raise the version of all memberships of a user that have not ended, for the user's own status is part of each."""
    await connection.execute(
        update(memberships)
        .where(memberships.c.user_id == user_id, memberships.c.status != "ended")
        .values(version=memberships.c.version + 1, updated_at=func.now())
    )
    found = await connection.execute(
        _query().where(memberships.c.user_id == user_id, memberships.c.status != "ended").order_by(memberships.c.organization_id)
    )
    return [_member(row) for row in found.mappings()]


async def role_of(connection: AsyncConnection, user_id: str, organization_id: str) -> Role | None:
    """The role of an active user with an active membership in an organization, None for strangers."""
    found = await connection.execute(
        select(memberships.c.role)
        .join(users, users.c.id == memberships.c.user_id)
        .where(
            memberships.c.user_id == user_id,
            memberships.c.organization_id == organization_id,
            memberships.c.status == "active",
            users.c.status == "active",
        )
    )
    role: Role | None = found.scalar_one_or_none()
    return role


async def roles_of(connection: AsyncConnection, user_id: str) -> dict[str, Role]:
    """All roles of a user, by organization."""
    found = await connection.execute(
        select(memberships.c.organization_id, memberships.c.role).where(
            memberships.c.user_id == user_id, memberships.c.status == "active"
        )
    )
    return {row.organization_id: row.role for row in found}


async def members_after(connection: AsyncConnection, last: tuple[str, str], limit: int) -> list[Member]:
    """The next chunk of all memberships after a user and organization, for re-publishing."""
    place = (memberships.c.user_id, memberships.c.organization_id)
    found = await connection.execute(_query().where(tuple_(*place) > last).order_by(*place).limit(limit))
    return [_member(row) for row in found.mappings()]
