"""Notices in SQL: each occasion is said once, whoever says it and however often."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import RowMapping, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Notice
from accounts.domain.page import Page, PageAsk
from accounts.domain.reminders import Reminder
from accounts.outbound.paging import page_of
from accounts.outbound.tables import notices
from common.contracts.identifiers import uuid7


def _notice(row: RowMapping) -> Notice:
    return msgspec.convert({str(name): value for name, value in row.items()}, Notice)


async def say(connection: AsyncConnection, due: Sequence[Reminder]) -> list[Reminder]:
    """Write them down; those that had not been said before."""
    if not due:
        return []
    rows = [
        {
            "id": uuid7(),
            "organization_id": one.key.organization_id,
            "kind": one.kind,
            "object_id": one.key.id,
            "occasion": one.occasion,
            "detail": one.detail,
        }
        for one in due
    ]
    new = insert(notices).values(rows).on_conflict_do_nothing().returning(notices.c.kind, notices.c.object_id)
    said = {(row.kind, row.object_id) for row in await connection.execute(new)}
    return [one for one in due if (one.kind, one.key.id) in said]


async def notices_of(connection: AsyncConnection, organization_id: str, ask: PageAsk, object_id: str | None) -> Page[Notice]:
    """The notices of an organization, all or those about one object."""
    query = select(notices).where(notices.c.organization_id == organization_id)
    if object_id is not None:
        query = query.where(notices.c.object_id == object_id)
    return await page_of(connection, query, notices.c.id, ask, _notice)
