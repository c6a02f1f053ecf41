"""Reports of a project's usage: by day, by month, and the raw requests; only for those who may read its organization's usage."""

import calendar
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from common.contracts.periods import period_day, period_end, period_month
from common.problems import Forbidden, Invalid, NotFound, Unavailable
from usage.domain.quantiles import quantile
from usage.domain.viewer import Viewer
from usage.outbound import reports_store
from usage.outbound.database import TRANSIENT, Database
from usage.outbound.directory_store import ProjectView, find_project
from usage.outbound.reports_store import RequestFilter, Sums

LONGEST_RANGE_DAYS = 400
QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_CURSOR = re.compile(r"(\d{4}-\d{2}-\d{2})_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")

Row = dict[str, Any]
Durations = Mapping[str, Mapping[int, int]]
"""Metric → bucket → observations."""


@dataclass(frozen=True, slots=True)
class ShowUsage:
    """Every method raises NotFound for a project that is unknown or another organization's, Forbidden for a member who may not see
    usage, Unavailable without the books."""

    database: Database

    async def daily(self, caller: Viewer, project_id: str, first: date | None, last: date | None) -> list[Row]:
        """One row per day with requests; the default is the last 30 days in the organization's time zone. Raises Invalid."""
        project = await self._project(caller, project_id)
        first, last = _range(project, first, last)
        try:
            async with self.database.transaction() as connection:
                sums = await reports_store.sums_by_day(connection, project_id, first, last)
                durations = await reports_store.durations(connection, project_id, first, last)
        except TRANSIENT:
            raise Unavailable("The books cannot be read at the moment.") from None
        by_day = {str(day): _metrics(rows) for day, rows in _grouped(durations).items()}
        return [{"day": row.name, **_counts(row), **_percentiles(by_day.get(row.name, {}))} for row in sums]

    async def monthly(self, caller: Viewer, project_id: str, month: str | None) -> Row:
        """Totals, limits and models of a month; the default is the current one. Raises Invalid."""
        project = await self._project(caller, project_id)
        month = month or period_month(datetime.now(UTC), project.time_zone)
        first, last = _days_of(month)
        try:
            async with self.database.transaction() as connection:
                total = await reports_store.total(connection, project_id, first, last)
                models = await reports_store.sums_by_model(connection, project_id, first, last)
                durations = await reports_store.durations(connection, project_id, first, last)
                standing = await reports_store.spent_and_held(connection, project_id, month)
        except TRANSIENT:
            raise Unavailable("The books cannot be read at the moment.") from None
        totals = {
            "month": month,
            **_counts(total),
            **_percentiles(_metrics((metric, bucket, n) for _, metric, bucket, n in durations)),
            **_standing(project, standing, month),
        }
        return {
            "month": month,
            "totals": totals,
            "limits": _standing(project, standing, month),
            "by_model": [{"model": row.name, **_counts(row)} for row in models],
            "data": [totals],
            "next_cursor": None,
        }

    async def requests(self, caller: Viewer, wanted: "Page") -> tuple[list[Row], str | None]:
        """Raw requests, newest first, and the cursor of the next page. Raises Invalid."""
        project = await self._project(caller, wanted.project_id)
        first, last = _range(project, wanted.first, wanted.last)
        chosen = RequestFilter(
            project_id=wanted.project_id,
            first=first,
            last=last,
            limit=wanted.limit + 1,
            request_id=wanted.request_id,
            status=wanted.status,
            tags=tuple(_tag(text) for text in wanted.tags),
            before=_before(wanted.cursor),
        )
        try:
            async with self.database.transaction() as connection:
                rows = await reports_store.requests(connection, chosen)
        except TRANSIENT:
            raise Unavailable("The books cannot be read at the moment.") from None
        page = rows[: wanted.limit]
        following = f"{page[-1]['day']}_{page[-1]['event_id']}" if len(rows) > wanted.limit else None
        return [_request(row) for row in page], following

    async def _project(self, caller: Viewer, project_id: str) -> ProjectView:
        if "\0" in project_id:
            raise NotFound("No such project.")
        try:
            async with self.database.transaction() as connection:
                project = await find_project(connection, project_id)
        except TRANSIENT:
            raise Unavailable("The books cannot be read at the moment.") from None
        access = "stranger" if project is None else await caller.access("usage.read", project.organization_id)
        if project is None or access == "stranger":
            raise NotFound("No such project.")
        if access == "refused":
            raise Forbidden("This token or your role in this organization does not include usage.read.")
        return project


@dataclass(frozen=True, slots=True)
class Page:
    """Which raw requests are wanted."""

    project_id: str
    first: date | None
    last: date | None
    limit: int
    cursor: str | None = None
    request_id: str | None = None
    status: str | None = None
    tags: Sequence[str] = ()
    """Each as `name:value`."""


def _tag(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (name and colon):
        raise Invalid("A tag is written as name:value.", errors=[{"field": "tag", "message": "not name:value"}])
    return name, value


def _range(project: ProjectView, first: date | None, last: date | None) -> tuple[date, date]:
    last = last or date.fromisoformat(period_day(datetime.now(UTC), project.time_zone))
    first = first or max(date.min + timedelta(days=30), last) - timedelta(days=30)
    if first > last:
        raise Invalid("`from` lies after `to`.", errors=[{"field": "from", "message": "lies after `to`"}])
    if (last - first).days > LONGEST_RANGE_DAYS:
        raise Invalid(
            f"At most {LONGEST_RANGE_DAYS} days at once.", errors=[{"field": "from", "message": "too long ago before `to`"}]
        )
    return first, last


def _days_of(month: str) -> tuple[date, date]:
    if not _MONTH.fullmatch(month) or month.startswith("0000"):
        raise Invalid("`month` is written as YYYY-MM.", errors=[{"field": "month", "message": "not YYYY-MM"}])
    year, number = int(month[:4]), int(month[5:])
    return date(year, number, 1), date(year, number, calendar.monthrange(year, number)[1])


def _before(cursor: str | None) -> tuple[date, str] | None:
    if cursor is None:
        return None
    found = _CURSOR.fullmatch(cursor)
    try:
        if found:
            return date.fromisoformat(found[1]), found[2]
    except ValueError:
        pass
    raise Invalid("The cursor is not one of ours.", errors=[{"field": "cursor", "message": "unknown"}])


def _grouped(durations: Iterable[tuple[date, str, int, int]]) -> dict[date, list[tuple[str, int, int]]]:
    groups: dict[date, list[tuple[str, int, int]]] = defaultdict(list)
    for day, metric, bucket, observations in durations:
        groups[day].append((metric, bucket, observations))
    return groups


def _metrics(rows: Iterable[tuple[str, int, int]]) -> Durations:
    metrics: dict[str, dict[int, int]] = {}
    for metric, bucket, observations in rows:
        counts = metrics.setdefault(metric, {})
        counts[bucket] = counts.get(bucket, 0) + observations
    return metrics


def _percentiles(metrics: Durations) -> Row:
    return {
        f"{metric}_{name}_ms": None if (found := quantile(metrics.get(metric, {}), q)) is None else round(found / 1000, 3)
        for metric in ("latency", "ttft")
        for name, q in QUANTILES.items()
    }


def _counts(row: Sums) -> Row:
    status = "unpriced" if row.unpriced else "estimated" if row.estimated else "exact"
    return {
        "requests": row.requests,
        "errors": row.errors,
        "cache_hits": row.cache_hits,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "total_tokens": row.prompt_tokens + row.completion_tokens,
        "cached_prompt_tokens": row.cached_prompt_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "cost_nanousd": row.cost_nanousd,
        "cost_status": status,
        "estimated_requests": row.estimated,
        "unpriced_requests": row.unpriced,
        "saved_tokens": row.saved_tokens,
        "saved_nanousd": row.saved_nanousd,
    }


def _standing(project: ProjectView, standing: tuple[int, int, int, int], month: str) -> Row:
    return {
        "limit_tokens": project.monthly_tokens,
        "limit_cost_nanousd": project.monthly_cost_nanousd,
        "limit_version": project.limit_version,
        "used_tokens": standing[0],
        "used_cost_nanousd": standing[1],
        "held_tokens": standing[2],
        "held_cost_nanousd": standing[3],
        "resets_at": reports_store.moment(period_end(month, project.time_zone)) if month < "9999-12" else None,
    }


def _request(row: Row) -> Row:
    latency_us, ttft_us = row.pop("latency_us"), row.pop("ttft_us")
    return {
        **row,
        "admitted_at": reports_store.moment(row["admitted_at"]),
        "finished_at": reports_store.moment(row["finished_at"]),
        "total_tokens": row["prompt_tokens"] + row["completion_tokens"],
        "latency_ms": latency_us / 1000,
        "ttft_ms": None if ttft_us is None else ttft_us / 1000,
    }
