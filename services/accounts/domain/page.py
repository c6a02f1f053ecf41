"""A page of a list in a stable order, and where the next one begins."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PageAsk:
    """Which page is wanted: at most `limit` items with identifiers after `cursor`."""

    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Items in the order of their identifiers; `next_cursor` None = that was all."""

    data: list[Item]
    next_cursor: str | None
