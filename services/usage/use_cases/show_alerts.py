"""Alerts of an organization or a project, for those who may read its usage."""

import re
from dataclasses import dataclass
from typing import Any

from common.contracts.events import AlertKind
from common.problems import Forbidden, Invalid, NotFound, Unavailable
from usage.domain.viewer import Viewer
from usage.outbound import alerts_store, reports_store
from usage.outbound.database import TRANSIENT, Database
from usage.outbound.directory_store import find_organization, find_project

_CURSOR = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AlertsWanted:
    """Which alerts; None = all."""

    period: str | None
    kind: AlertKind | None
    limit: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class ShowAlerts:
    """Both methods raise NotFound for what is unknown or another organization's, Forbidden, Invalid, Unavailable."""

    database: Database

    async def of_organization(self, caller: Viewer, organization_id: str, wanted: AlertsWanted) -> tuple[list[Row], str | None]:
        """Of the organization, its projects, keys, members and end users: newest first, and the cursor of the next page."""
        if not await self._is_known(organization_id):
            raise NotFound("No such organization.")
        await _require(caller, organization_id, "No such organization.")
        return await self._list(wanted, organization=organization_id, project=None)

    async def of_project(self, caller: Viewer, project_id: str, wanted: AlertsWanted) -> tuple[list[Row], str | None]:
        """Of the project, its keys and end users."""
        project = None
        if "\0" not in project_id:
            try:
                async with self.database.transaction() as connection:
                    project = await find_project(connection, project_id)
            except TRANSIENT:
                raise _unavailable() from None
        if project is None:
            raise NotFound("No such project.")
        await _require(caller, project.organization_id, "No such project.")
        return await self._list(wanted, organization=None, project=project_id)

    async def _is_known(self, organization_id: str) -> bool:
        if "\0" in organization_id:
            return False
        try:
            async with self.database.transaction() as connection:
                return await find_organization(connection, organization_id)
        except TRANSIENT:
            raise _unavailable() from None

    async def _list(self, wanted: AlertsWanted, **where: str | None) -> tuple[list[Row], str | None]:
        if wanted.cursor is not None and not _CURSOR.fullmatch(wanted.cursor):
            raise Invalid("The cursor is not one of ours.", errors=[{"field": "cursor", "message": "unknown"}])
        try:
            async with self.database.transaction() as connection:
                rows = await alerts_store.list_alerts(
                    connection, **where, period=wanted.period, kind=wanted.kind, before=wanted.cursor, limit=wanted.limit + 1
                )
        except TRANSIENT:
            raise _unavailable() from None
        page = rows[: wanted.limit]
        following = page[-1]["alert_id"] if len(rows) > wanted.limit else None
        return [{**row, "raised_at": reports_store.moment(row["raised_at"])} for row in page], following


async def _require(caller: Viewer, organization_id: str, missing: str) -> None:
    access = await caller.access("usage.read", organization_id)
    if access == "stranger":
        raise NotFound(missing)
    if access == "refused":
        raise Forbidden("This token or your role in this organization does not include usage.read.")


def _unavailable() -> Unavailable:
    return Unavailable("The books cannot be read at the moment.")
