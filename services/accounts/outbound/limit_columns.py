"""Limits in rows: a document beside its version, read as one object."""

from typing import Any

from sqlalchemy import RowMapping


def joined(row: RowMapping) -> dict[str, Any]:
    """The row's values, its limits with their version inside."""
    values = {str(name): value for name, value in row.items()}
    values["limits"] = {**values["limits"], "version": values.pop("limits_version")}
    return values
