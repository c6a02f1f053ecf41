"""Invitations in SQL: of a token only the digest. Whether one has expired is decided by the database's clock."""

from typing import Any

import msgspec
from sqlalchemy import RowMapping, Select, case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.invitation import Invitation
from accounts.domain.page import Page, PageAsk
from accounts.outbound.paging import page_of
from accounts.outbound.tables import invitations

_standing = case(
    (invitations.c.accepted_at.is_not(None), "accepted"),
    (invitations.c.revoked_at.is_not(None), "revoked"),
    (invitations.c.expires_at <= func.now(), "expired"),
    else_="open",
)
_COLUMNS = (*(column for column in invitations.c if column.name != "digest"), _standing.label("status"))


def _invitation(row: RowMapping) -> Invitation:
    return msgspec.convert({str(name): value for name, value in row.items()}, Invitation)


async def add_invitation(connection: AsyncConnection, **values: Any) -> Invitation:
    """Insert an invitation."""
    found = await connection.execute(insert(invitations).values(**values).returning(*_COLUMNS))
    return _invitation(found.mappings().one())


async def find_invitation(connection: AsyncConnection, organization_id: str, invitation_id: str) -> Invitation | None:
    """The invitation if it belongs to the organization, kept unchanged until the end of the transaction."""
    query = select(*_COLUMNS).where(invitations.c.organization_id == organization_id, invitations.c.id == invitation_id)
    return await _one(connection, query.with_for_update())


async def find_invitation_by_digest(connection: AsyncConnection, digest: str, *, locked: bool = False) -> Invitation | None:
    """The invitation of a token; `locked` keeps it unchanged until the end of the transaction."""
    query = select(*_COLUMNS).where(invitations.c.digest == digest)
    return await _one(connection, query.with_for_update() if locked else query)


async def _one(connection: AsyncConnection, query: Select[Any]) -> Invitation | None:
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else _invitation(row)


async def invitations_of(
    connection: AsyncConnection, organization_id: str, ask: PageAsk, status: str | None, email: str | None
) -> Page[Invitation]:
    """The invitations to an organization, all or those with a status, or to an email, whatever its case."""
    query = select(*_COLUMNS).where(invitations.c.organization_id == organization_id)
    if status is not None:
        query = query.where(_standing == status)
    if email is not None:
        query = query.where(func.lower(invitations.c.email) == func.lower(email))
    return await page_of(connection, query, invitations.c.id, ask, _invitation)


async def open_invitations_to(connection: AsyncConnection, organization_id: str, email: str) -> list[Invitation]:
    """Those that could still be accepted by somebody with this email, whatever its case."""
    query = select(*_COLUMNS).where(
        invitations.c.organization_id == organization_id,
        func.lower(invitations.c.email) == func.lower(email),
        _standing == "open",
    )
    found = await connection.execute(query.with_for_update())
    return [_invitation(row) for row in found.mappings()]


async def mark_revoked(connection: AsyncConnection, invitation_id: str) -> Invitation:
    """It can no longer be accepted."""
    return await _mark(connection, invitation_id, "revoked_at")


async def mark_accepted(connection: AsyncConnection, invitation_id: str) -> Invitation:
    """It cannot be accepted again."""
    return await _mark(connection, invitation_id, "accepted_at")


async def _mark(connection: AsyncConnection, invitation_id: str, column: str) -> Invitation:
    change = update(invitations).where(invitations.c.id == invitation_id).values({column: func.now()})
    found = await connection.execute(change.returning(*_COLUMNS))
    return _invitation(found.mappings().one())
