"""The reports over HTTP: daily, monthly, and the raw requests of a project."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from common.problems import documented
from usage.domain.viewer import Viewer
from usage.use_cases.show_usage import Page, ShowUsage

Status = Literal["ok", "error", "refused", "client_closed", "upstream_cut", "aborted"]
From = Annotated[date | None, Query(alias="from", description="First day, YYYY-MM-DD, in the organization's time zone")]
To = Annotated[date | None, Query(description="Last day, YYYY-MM-DD")]
TagText = Annotated[str, Field(max_length=400, pattern=r"^[^:\x00]+:[^\x00]*$")]
Tags = Annotated[
    Sequence[TagText],
    Query(max_length=20, description="name:value, the name up to the first colon; repeated: only requests with all of them"),
]
READ = {"x-permission": "usage.read"}


class Counts(BaseModel):
    """What was counted; money in nano-USD, tokens charged = prompt + completion."""

    requests: int
    errors: int
    cache_hits: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_prompt_tokens: int
    reasoning_tokens: int
    cost_nanousd: int
    cost_status: Literal["exact", "estimated", "unpriced"] = Field(description="The worst among the requests")
    estimated_requests: int
    unpriced_requests: int
    saved_tokens: int
    saved_nanousd: int


class Percentiles(BaseModel):
    """Durations in milliseconds, each within 5 %; null without observations."""

    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_p99_ms: float | None
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    ttft_p99_ms: float | None


class Day(Counts, Percentiles):
    """A day with at least one request."""

    day: date


class Days(BaseModel):
    """Oldest first."""

    data: list[Day]
    next_cursor: str | None = None


class Standing(BaseModel):
    """The budget: limits (null = none), what is used, and what gateways may still spend of their grants."""

    limit_tokens: int | None
    limit_cost_nanousd: int | None
    limit_version: int
    used_tokens: int
    used_cost_nanousd: int
    held_tokens: int
    held_cost_nanousd: int
    resets_at: str | None


class MonthTotals(Counts, Percentiles, Standing):
    """A month in one row."""

    month: str


class ModelCounts(Counts):
    """A model's share of the month."""

    model: str


class Month(BaseModel):
    """A month: the totals (also as the only row of `data`), the budget, the models."""

    month: str
    totals: MonthTotals
    limits: Standing
    by_model: list[ModelCounts]
    data: list[MonthTotals]
    next_cursor: str | None


class RequestRow(BaseModel):
    """One settled request."""

    event_id: str
    request_id: str
    day: date
    admitted_at: str
    finished_at: str
    key_id: str
    endpoint: str
    model_requested: str
    model: str
    tier: str
    stream: bool
    cache: str
    status: Status
    http_status: int
    error_code: str | None
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_prompt_tokens: int
    reasoning_tokens: int
    usage_source: str
    cost_nanousd: int
    cost_status: str
    cost_verified: bool | None
    upstream_cost_nanousd: int | None
    price_version: str
    hold_tokens: int
    hold_nanousd: int
    saved_tokens: int
    saved_nanousd: int
    latency_ms: float
    ttft_ms: float | None
    gateway: str
    tags: dict[str, str] = Field(description="The key's tags at the time of the request")
    attempts: list[dict[str, Any]]
    decision: dict[str, Any] = Field(description="Why it was answered as it was; what is not there did not matter")


class RequestRows(BaseModel):
    """Newest first."""

    data: list[RequestRow]
    next_cursor: str | None


def report_routes(show: ShowUsage, caller: Callable[..., Awaitable[Viewer]]) -> APIRouter:
    """The routes under /api/v1/projects/{project_id}."""
    router = APIRouter(prefix="/api/v1/projects/{project_id}", tags=["usage"], responses=documented(401, 403, 404, 422, 503))

    @router.get("/usage/daily", summary="Usage by day", openapi_extra=READ)
    async def daily(project_id: str, identity: Annotated[Viewer, Depends(caller)], first: From = None, to: To = None) -> Days:
        rows = await show.daily(identity, project_id, first, to)
        return Days(data=[Day.model_validate(row) for row in rows])

    @router.get("/usage/monthly", summary="Usage of a month, with the budget and the models", openapi_extra=READ)
    async def monthly(
        project_id: str,
        identity: Annotated[Viewer, Depends(caller)],
        month: Annotated[str | None, Query(description="YYYY-MM; the current month by default", max_length=7)] = None,
    ) -> Month:
        return Month.model_validate(await show.monthly(identity, project_id, month))

    @router.get("/requests", summary="Settled requests, newest first", openapi_extra=READ)
    async def requests(
        project_id: str,
        identity: Annotated[Viewer, Depends(caller)],
        first: From = None,
        to: To = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=100)] = None,
        request_id: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None,
        status: Annotated[Status | None, Query()] = None,
        tag: Tags = (),
    ) -> RequestRows:
        page = Page(project_id, first, to, limit, cursor=cursor, request_id=request_id, status=status, tags=tag)
        rows, following = await show.requests(identity, page)
        return RequestRows(data=[RequestRow.model_validate(row) for row in rows], next_cursor=following)

    return router
