"""Projects in SQL. Their limits carry a version of their own, which budgets refer to."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import RowMapping, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Project
from accounts.domain.page import Page, PageAsk
from accounts.outbound.limit_columns import joined, parted
from accounts.outbound.paging import page_of
from accounts.outbound.tables import projects


def _project(row: RowMapping) -> Project:
    return msgspec.convert(joined(row), Project)


async def add_project(connection: AsyncConnection, **values: Any) -> Project:
    """Insert a project; raises IntegrityError when the organization has the slug already."""
    found = await connection.execute(insert(projects).values(**values).returning(projects))
    return _project(found.mappings().one())


async def slug_is_taken(connection: AsyncConnection, organization_id: str, slug: str) -> bool:
    """Whether a project of the organization has this slug."""
    found = await connection.execute(
        select(projects.c.id).where(projects.c.organization_id == organization_id, projects.c.slug == slug)
    )
    return found.one_or_none() is not None


async def find_project(connection: AsyncConnection, project_id: str, *, locked: bool = False) -> Project | None:
    """The project, or None; `locked` keeps it unchanged until the end of the transaction, while keys can be made for it."""
    query = select(projects).where(projects.c.id == project_id)
    found = await connection.execute(query.with_for_update(key_share=True) if locked else query)
    row = found.mappings().one_or_none()
    return None if row is None else _project(row)


async def projects_of(
    connection: AsyncConnection, organization_id: str, ask: PageAsk, only: Mapping[str, str] | None = None
) -> Page[Project]:
    """The projects of an organization, all or those whose columns have the given values, the name as a part of it."""
    query = select(projects).where(projects.c.organization_id == organization_id)
    for name, value in (only or {}).items():
        column = projects.c[name]
        query = query.where(column.icontains(value, autoescape=True) if name == "name" else column == value)
    return await page_of(connection, query, projects.c.id, ask, _project)


async def projects_on_plan(connection: AsyncConnection, plan_id: str, last_id: str, limit: int) -> list[Project]:
    """The next chunk of a plan's projects, kept unchanged until the end of the transaction; keys can be made meanwhile."""
    query = select(projects).where(projects.c.plan_id == plan_id, projects.c.id > last_id)
    found = await connection.execute(query.order_by(projects.c.id).limit(limit).with_for_update(key_share=True))
    return [_project(row) for row in found.mappings()]


async def put_limits(connection: AsyncConnection, changed: Sequence[Project]) -> None:
    """Write limits, alerts and versions of locked projects as they stand in these objects."""
    statement = update(projects).where(projects.c.id == bindparam("project")).values(updated_at=func.now())
    rows = [
        {"project": one.id, "version": one.version, "alert_percents": list(one.alert_percents), **parted(one.limits)}
        for one in changed
    ]
    if rows:
        await connection.execute(statement, rows)


async def change_project(connection: AsyncConnection, project_id: str, **values: Any) -> Project:
    """Change fields and raise the version."""
    found = await connection.execute(
        update(projects)
        .where(projects.c.id == project_id)
        .values(**values, version=projects.c.version + 1, updated_at=func.now())
        .returning(projects)
    )
    return _project(found.mappings().one())


async def projects_after(connection: AsyncConnection, last_id: str, limit: int) -> list[Project]:
    """The next chunk of all projects, for re-publishing."""
    found = await connection.execute(select(projects).where(projects.c.id > last_id).order_by(projects.c.id).limit(limit))
    return [_project(row) for row in found.mappings()]
