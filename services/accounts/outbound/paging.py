"""Pages of a query by identifier: stable however much is added meanwhile, since identifiers rise with time."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Column, RowMapping, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.page import Page, PageAsk

Item = TypeVar("Item")


async def page_of(
    connection: AsyncConnection,
    query: Select[Any],
    identifier: Column[Any],
    ask: PageAsk,
    make: Callable[[RowMapping], Item],
) -> Page[Item]:
    """One page, reading one row more than asked for to know whether there is another."""
    if ask.cursor is not None:
        query = query.where(identifier > ask.cursor)
    rows = (await connection.execute(query.order_by(identifier).limit(ask.limit + 1))).mappings().all()
    shown = rows[: ask.limit]
    following = shown[-1][identifier.name] if len(rows) > ask.limit else None
    return Page([make(row) for row in shown], following)
