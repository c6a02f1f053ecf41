"""Alerts over HTTP, of an organization and of a project."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from common.contracts.events import AlertKind
from common.problems import documented
from usage.domain.viewer import Viewer
from usage.use_cases.show_alerts import AlertsWanted, ShowAlerts

READ = {"x-permission": "usage.read"}
PERIOD = r"^\d{4}-\d{2}(-\d{2})?$"


class Alert(BaseModel):
    """Told once each. `percent` of the limit: the threshold, of a forecast the spend expected by the end of the period, of an exhausted
    budget what is spent of it.
    """

    alert_id: str
    kind: AlertKind
    organization_id: str
    project_id: str | None
    scope: str = Field(examples=["project"])
    scope_id: str
    period: str = Field(examples=["2026-11"])
    unit: Literal["tokens", "nanousd"]
    percent: int
    limit: int = Field(validation_alias="limit_amount")
    used: int = Field(validation_alias="used_amount", description="When it was raised")
    raised_at: str


class Alerts(BaseModel):
    """Newest first."""

    data: list[Alert]
    next_cursor: str | None


def _wanted(
    period: Annotated[str | None, Query(pattern=PERIOD, description="A month or a day")] = None,
    kind: Annotated[AlertKind | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> AlertsWanted:
    return AlertsWanted(period, kind, limit, cursor)


Wanted = Annotated[AlertsWanted, Depends(_wanted)]


def alert_routes(show: ShowAlerts, caller: Callable[..., Awaitable[Viewer]]) -> APIRouter:
    """The routes under /api/v1."""
    router = APIRouter(prefix="/api/v1", tags=["alerts"], responses=documented(401, 403, 404, 422, 503))

    @router.get("/organizations/{organization_id}/alerts", summary="Alerts of an organization, newest first", openapi_extra=READ)
    async def of_organization(organization_id: str, identity: Annotated[Viewer, Depends(caller)], wanted: Wanted) -> Alerts:
        rows, following = await show.of_organization(identity, organization_id, wanted)
        return Alerts(data=[Alert.model_validate(row) for row in rows], next_cursor=following)

    @router.get("/projects/{project_id}/alerts", summary="Alerts of a project, newest first", openapi_extra=READ)
    async def of_project(project_id: str, identity: Annotated[Viewer, Depends(caller)], wanted: Wanted) -> Alerts:
        rows, following = await show.of_project(identity, project_id, wanted)
        return Alerts(data=[Alert.model_validate(row) for row in rows], next_cursor=following)

    return router
