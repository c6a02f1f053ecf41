"""Limits in rows: a document beside its version, read and written as one object."""

from typing import Any

import msgspec
from sqlalchemy import RowMapping

from common.contracts.directory import Limits


def joined(row: RowMapping) -> dict[str, Any]:
    """The row's values, its limits with their version inside."""
    values = {str(name): value for name, value in row.items()}
    values["limits"] = {**values["limits"], "version": values.pop("limits_version")}
    return values


def parted(limits: Limits) -> dict[str, Any]:
    """The two columns of limits."""
    document = msgspec.to_builtins(limits)
    return {"limits_version": document.pop("version", 0), "limits": document}
