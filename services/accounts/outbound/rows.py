"""Rows as objects of the domain."""

from typing import TypeVar

import msgspec
from sqlalchemy import RowMapping

Shape = TypeVar("Shape")


def shaped(row: RowMapping, shape: type[Shape]) -> Shape:
    """A struct from a row's values by name; raises ValidationError when the table holds what the struct forbids."""
    return msgspec.convert({str(name): value for name, value in row.items()}, shape)
