"""Plans in SQL."""

from typing import Any

import msgspec
from sqlalchemy import RowMapping, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Plan
from accounts.domain.page import Page, PageAsk
from accounts.outbound.limit_columns import joined
from accounts.outbound.paging import page_of
from accounts.outbound.tables import plans, projects

PLANS_LOCK = 484_823_620


def _plan(row: RowMapping) -> Plan:
    return msgspec.convert(joined(row), Plan)


async def hold_plans(connection: AsyncConnection, organization_id: str, *, to_change: bool = False) -> None:
    """Until the end of the transaction no plan of the organization changes, or only this transaction changes them.

    Taken before any project is locked, so that a change of a plan and one of its projects never wait for each other in a circle.
    """
    lock = func.pg_advisory_xact_lock if to_change else func.pg_advisory_xact_lock_shared
    await connection.execute(select(lock(PLANS_LOCK, func.hashtext(organization_id))))


async def add_plan(connection: AsyncConnection, **values: Any) -> Plan:
    """Insert a plan; raises IntegrityError when the organization has one of this name."""
    found = await connection.execute(insert(plans).values(**values).returning(plans))
    return _plan(found.mappings().one())


async def find_plan(connection: AsyncConnection, organization_id: str, plan_id: str) -> Plan | None:
    """The plan if it belongs to the organization."""
    found = await connection.execute(select(plans).where(plans.c.id == plan_id, plans.c.organization_id == organization_id))
    row = found.mappings().one_or_none()
    return None if row is None else _plan(row)


async def plans_of(connection: AsyncConnection, organization_id: str, ask: PageAsk) -> Page[Plan]:
    """The plans of an organization."""
    query = select(plans).where(plans.c.organization_id == organization_id)
    return await page_of(connection, query, plans.c.id, ask, _plan)


async def change_plan(connection: AsyncConnection, plan_id: str, **values: Any) -> Plan:
    """Change fields and raise the version; raises IntegrityError when the name is taken."""
    found = await connection.execute(
        update(plans)
        .where(plans.c.id == plan_id)
        .values(**values, version=plans.c.version + 1, updated_at=func.now())
        .returning(plans)
    )
    return _plan(found.mappings().one())


async def is_in_use(connection: AsyncConnection, plan_id: str) -> bool:
    """Whether a project has this plan."""
    return bool((await connection.execute(select(exists().where(projects.c.plan_id == plan_id)))).scalar_one())


async def remove_plan(connection: AsyncConnection, plan_id: str) -> None:
    """Delete a plan that no project has."""
    await connection.execute(delete(plans).where(plans.c.id == plan_id))
