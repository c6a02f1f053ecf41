"""Reports over HTTP: what was booked, for those who may see it."""

import time
from typing import Any

import httpx
import pytest

from common.contracts.identifiers import uuid7
from tests.days import this_day, this_month
from tests.integration.usage.conftest import Books, UsageProcess, eventually
from tests.integration.usage.gateway_side import GatewaySide, make_event
from tests.integration.usage.signer import Signer


class Reader:
    """A caller of the reports with a role in org-1, who comes again when the books could not be had in time."""

    def __init__(self, usage: UsageProcess, signer: Signer) -> None:
        self.usage, self.signer = usage, signer

    def get(self, path: str, *, roles: dict[str, str] | None = None, token: str | None = None, **query: Any) -> httpx.Response:
        token = token or self.signer.token({"org-1": "viewer"} if roles is None else roles)
        headers = {"authorization": f"Bearer {token}"}
        url, until = f"{self.usage.url}/api/v1/projects{path}", time.monotonic() + 60
        while True:
            answer = httpx.get(url, params=query, headers=headers, trust_env=False, timeout=30)
            if answer.status_code != 503 or time.monotonic() > until:
                return answer
            time.sleep(0.1)


@pytest.fixture
def reader(usage: UsageProcess, signer: Signer) -> Reader:
    """A viewer of org-1."""
    return Reader(usage, signer)


@pytest.fixture
async def project(gateway: GatewaySide, books: Books, usage: UsageProcess) -> str:
    """A project of org-1 with seven requests today."""
    project, boot = uuid7(), uuid7()
    await gateway.put_organization()
    await gateway.put_project(project, tokens=1_000_000, cost=5_000_000)
    events = [
        make_event(project, boot, latency_us=n * 10_000, model="sim-fast-1" if n % 2 else "sim-deep-1") for n in range(1, 6)
    ]
    events.append(make_event(project, boot, status="error", http_status=502, cost_status="unpriced", model=""))
    events.append(make_event(project, boot, cache="hit", prompt_tokens=0, completion_tokens=0, cost_nanousd=0, saved_tokens=15))
    await gateway.ship(events, boot=boot, first=1)
    await gateway.ask_tokens(boot, project, 1, need_tokens=1_000, settled_tokens=90, settled_nanousd=6_000)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 7", boot))
    return project


async def test_daily_usage(reader: Reader, project: str) -> None:
    """One row for today with counts, tokens, cost and percentiles."""
    answer = reader.get(f"/{project}/usage/daily", **{"from": this_day(), "to": this_day()})
    assert answer.status_code == 200
    assert answer.json()["next_cursor"] is None
    (row,) = answer.json()["data"]
    wanted = {
        "day": this_day(),
        "requests": 7,
        "errors": 1,
        "cache_hits": 1,
        "prompt_tokens": 60,
        "completion_tokens": 30,
        "total_tokens": 90,
    }
    assert {name: row[name] for name in wanted} == wanted
    assert (row["cost_nanousd"], row["cost_status"], row["saved_tokens"]) == (6_000, "unpriced", 15)
    assert 19 <= row["latency_p50_ms"] <= 32
    assert 47 <= row["latency_p99_ms"] <= 53
    assert 4.7 <= row["ttft_p50_ms"] <= 5.3


async def test_monthly_usage(reader: Reader, project: str) -> None:
    """Totals, limits and models; the totals also as the only row of the list."""
    body = reader.get(f"/{project}/usage/monthly", month=this_month()).json()
    assert body["data"] == [body["totals"]]
    assert (body["totals"]["requests"], body["totals"]["total_tokens"]) == (7, 90)
    limits = body["limits"]
    assert (limits["limit_tokens"], limits["limit_cost_nanousd"], limits["used_tokens"]) == (1_000_000, 5_000_000, 90)
    assert limits["used_tokens"] + limits["held_tokens"] >= 1_000
    assert {row["model"]: row["requests"] for row in body["by_model"]} == {"": 1, "sim-deep-1": 2, "sim-fast-1": 4}
    empty = reader.get(f"/{project}/usage/monthly", month="2001-02").json()
    assert (empty["totals"]["requests"], empty["totals"]["latency_p50_ms"]) == (0, None)


async def test_requests_are_paged_newest_first(reader: Reader, project: str) -> None:
    """All rows once, by cursor; filters by status and request id."""
    seen, cursor = [], None
    for _ in range(4):
        page = reader.get(f"/{project}/requests", limit=2, **({"cursor": cursor} if cursor else {})).json()
        seen += page["data"]
        cursor = page["next_cursor"]
    assert cursor is None
    ids = [row["event_id"] for row in seen]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 7
    (failed,) = reader.get(f"/{project}/requests", status="error").json()["data"]
    assert (failed["http_status"], failed["total_tokens"], failed["latency_ms"], failed["attempts"]) == (502, 15, 20.0, [])
    (found,) = reader.get(f"/{project}/requests", request_id=failed["request_id"]).json()["data"]
    assert found == failed


async def test_requests_show_their_tags_and_are_chosen_by_them(
    reader: Reader, project: str, gateway: GatewaySide, books: Books
) -> None:
    """A row has the tags that came with it; `tag` chooses those that have all that are asked for, colons in values included."""
    boot = uuid7()
    both, one = {"team": "search", "link": "https://example.com:1"}, {"team": "search"}
    await gateway.ship([make_event(project, boot, tags=tags) for tags in (both, one, {"team": "ads"})], boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 3", boot))

    def tags(*wanted: str) -> list[dict[str, str]]:
        answer = reader.get(f"/{project}/requests", tag=list(wanted))
        assert answer.status_code == 200
        return sorted((row["tags"] for row in answer.json()["data"]), key=len)

    assert tags()[:7] == 7 * [{}]
    assert tags()[-1] == both
    assert tags("team:search") == [one, both]
    assert tags("team:search", "link:https://example.com:1") == [both]
    assert tags("team:search", "team:ads") == tags("team:") == tags("search:team") == []


async def test_who_may_not_see_a_project_is_told_that_it_does_not_exist(reader: Reader, project: str) -> None:
    """No membership, an unknown project: the same 404; no or a wrong token: the same 401."""
    for path in (f"/{project}/usage/daily", f"/{project}/usage/monthly", f"/{project}/requests"):
        foreign = reader.get(path, roles={"org-2": "owner"})
        assert foreign.status_code == 404
        assert foreign.json() == reader.get(path.replace(project, uuid7())).json()
        assert foreign.headers["content-type"] == "application/problem+json"
        assert reader.get(path, token="nonsense").status_code == 401
        assert reader.get(path, token=reader.signer.token({"org-1": "owner"}, lifetime_seconds=-5)).status_code == 401
        assert httpx.get(f"{reader.usage.url}/api/v1/projects{path}", trust_env=False, timeout=30).status_code == 401
    assert reader.get(f"/{project}/usage/daily", roles={"org-1": "billing"}).status_code == 200


async def test_a_rotated_signing_key_is_fetched(reader: Reader, project: str) -> None:
    """A token that names a key not yet known makes usage fetch the set again."""
    assert reader.get(f"/{project}/usage/daily").status_code == 200
    reader.signer.rotate()

    def accepted() -> bool:
        return reader.get(f"/{project}/usage/daily").status_code == 200

    await eventually(accepted)


BAD_PARAMETERS = (
    ("usage/daily", {"from": "yesterday"}),
    ("usage/daily", {"from": "2026-02-30"}),
    ("usage/daily", {"from": "2026-03-02", "to": "2026-03-01"}),
    ("usage/daily", {"from": "0001-01-01", "to": "2026-03-01"}),
    ("usage/monthly", {"month": "2026-13"}),
    ("usage/monthly", {"month": "0000-01"}),
    ("requests", {"limit": "0"}),
    ("requests", {"limit": "201"}),
    ("requests", {"cursor": "2026-99-99_x"}),
    ("requests", {"status": "fine"}),
    ("requests", {"tag": "team"}),
    ("requests", {"tag": ":search"}),
    ("requests", {"tag": "team:\0"}),
)


async def test_bad_parameters_are_problems_that_name_the_field(reader: Reader, project: str) -> None:
    """422, a problem document, the field."""
    for path, query in BAD_PARAMETERS:
        answer = reader.get(f"/{project}/{path}", **query)
        assert answer.status_code == 422, (path, query)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["errors"][0]["field"].partition(".")[0] in query


async def test_the_first_day_of_the_calendar_is_no_accident(reader: Reader, project: str) -> None:
    """An extreme but valid range is answered."""
    assert reader.get(f"/{project}/usage/daily", to="0001-01-01").status_code == 200
    assert reader.get(f"/{project}/usage/monthly", month="9999-12").status_code == 200
