"""The audit log as it is read: newest first, by time and identifier, which no later entry changes."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.audit import Actor, AuditEntry, AuditFilter
from accounts.domain.page import Page, PageAsk
from accounts.domain.principal import Origin
from accounts.outbound.tables import audit_log

Place = tuple[datetime, str]
"""Where an entry stands in the order: its time and identifier."""


async def entries_page(
    connection: AsyncConnection, organization_id: str | None, only: AuditFilter, ask: PageAsk
) -> Page[AuditEntry]:
    """One page of an organization's entries, or (None) of those that belong to none; empty after a cursor that is not there."""
    after = None
    if ask.cursor is not None:
        after = await _place_of(connection, organization_id, ask.cursor)
        if after is None:
            return Page([], None)
    found = await entries_before(connection, organization_id, only, ask.limit + 1, after)
    shown = found[: ask.limit]
    return Page(shown, shown[-1].id if len(found) > ask.limit else None)


async def entries_before(
    connection: AsyncConnection, organization_id: str | None, only: AuditFilter, limit: int, place: Place | None
) -> list[AuditEntry]:
    """At most `limit` entries that are older than that place, or the newest ones."""
    query = _matching(organization_id, only)
    if place is not None:
        query = query.where(tuple_(audit_log.c.at, audit_log.c.id) < place)
    newest_first = query.order_by(audit_log.c.at.desc(), audit_log.c.id.desc()).limit(limit)
    return [_entry(row) for row in (await connection.execute(newest_first)).mappings()]


async def _place_of(connection: AsyncConnection, organization_id: str | None, entry_id: str) -> Place | None:
    found = await connection.execute(
        select(audit_log.c.at, audit_log.c.id).where(audit_log.c.id == entry_id, _belongs_to(organization_id))
    )
    row = found.one_or_none()
    return None if row is None else (row.at, row.id)


def _belongs_to(organization_id: str | None) -> ColumnElement[bool]:
    if organization_id is None:
        return audit_log.c.organization_id.is_(None)
    return audit_log.c.organization_id == organization_id


def _matching(organization_id: str | None, only: AuditFilter) -> Select[Any]:
    query = select(audit_log).where(_belongs_to(organization_id))
    if only.actions:
        query = query.where(audit_log.c.action.in_(only.actions))
    if only.actor_id is not None:
        query = query.where(audit_log.c.actor_id == only.actor_id)
    if only.object_id is not None:
        query = query.where(audit_log.c.object_id == only.object_id)
    if only.since is not None:
        query = query.where(audit_log.c.at >= only.since)
    if only.until is not None:
        query = query.where(audit_log.c.at < only.until)
    return query


def _entry(row: RowMapping) -> AuditEntry:
    return AuditEntry(
        id=row["id"],
        at=row["at"],
        organization_id=row["organization_id"],
        actor=Actor(kind=row["actor_kind"], id=row["actor_id"], name=row["actor_name"]),
        action=row["action"],
        object_kind=row["object_kind"],
        object_id=row["object_id"],
        origin=Origin(address=row["address"], agent=row["agent"], request_id=row["request_id"]),
        before=row["before"],
        after=row["after"],
    )
