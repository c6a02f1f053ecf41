"""Alerts: raised once each from what is booked, said on the bus, listed for those who may see them."""

import time
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from common.contracts.directory import Limits
from common.contracts.events import AlertRaised, RequestSettled
from common.contracts.grants import ScopeAsk
from common.contracts.identifiers import uuid7
from common.contracts.periods import period_day
from common.contracts.subjects import ALERTS
from tests.days import this_day, this_month
from tests.integration.usage.conftest import Books, UsageProcess, eventually
from tests.integration.usage.gateway_side import GatewaySide, make_event, make_refusal
from tests.integration.usage.signer import Signer


async def hear(gateway: GatewaySide, organization: str) -> list[AlertRaised]:
    """A list that fills with the alerts of an organization from now on."""
    heard: list[AlertRaised] = []

    async def said(message: Any) -> None:
        heard.append(msgspec.json.decode(message.data, type=AlertRaised))

    await gateway.administrator.subscribe(f"{ALERTS}.{organization}", cb=said)
    await gateway.administrator.flush()
    return heard


async def test_each_threshold_is_told_once(usage: UsageProcess, gateway: GatewaySide, books: Books, signer: Signer) -> None:
    """Passed by several events and heard twice: one alert per threshold, on the bus and in both lists, newest first, in pages."""
    organization, project, boot = uuid7(), uuid7(), uuid7()
    await gateway.put_organization(organization)
    await gateway.put_project(project, organization_id=organization, tokens=100)
    await eventually(lambda: books.query("SELECT 1 FROM projects WHERE project_id = %s", project))
    heard = await hear(gateway, organization)
    events = [make_event(project, boot, organization_id=organization) for _ in range(7)]
    for count in (3, 4, 7):
        await gateway.ship(events[:count], boot=boot, first=1)
        await eventually(lambda count=count: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = %s", boot, count))
    await eventually(lambda: {alert.percent for alert in heard if alert.kind == "threshold"} == {50, 80, 100})
    thresholds = [alert for alert in heard if alert.kind == "threshold"]
    assert {(alert.scope, alert.scope_id, alert.period, alert.unit, alert.limit) for alert in thresholds} == {
        ("project", project, this_month(), "tokens", 100)
    }
    assert len(thresholds) == 3
    headers = {"authorization": f"Bearer {signer.token({organization: 'viewer'})}"}
    async with httpx.AsyncClient(base_url=usage.url, headers=headers, trust_env=False, timeout=30) as client:
        for path in (f"/api/v1/organizations/{organization}/alerts", f"/api/v1/projects/{project}/alerts"):
            whole = (await client.get(path, params={"kind": "threshold"})).json()["data"]
            assert sorted(alert["percent"] for alert in whole) == [50, 80, 100]
            assert [alert["alert_id"] for alert in whole] == sorted((a["alert_id"] for a in whole), reverse=True)
            paged: list[dict[str, Any]] = []
            params: dict[str, str] = {"kind": "threshold", "limit": "1"}
            for _ in whole:
                answer = (await client.get(path, params=params)).json()
                paged += answer["data"]
                params["cursor"] = answer["next_cursor"]
            assert (paged, params["cursor"]) == (whole, None)
            assert (await client.get(path, params={"period": this_day()})).json()["data"] == []
            assert (await client.get(path, params={"cursor": "x"})).status_code == 422


async def test_what_was_not_said_before_a_crash_is_said_after_it(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """An alert that is stored and not published, as by a process that died in between, is said when the next one is raised."""
    organization, project, boot = uuid7(), uuid7(), uuid7()
    await gateway.put_organization(organization)
    await gateway.put_project(project, organization_id=organization, tokens=10)
    heard = await hear(gateway, organization)
    left = uuid7()
    books.query(
        "INSERT INTO alerts (alert_id, kind, organization_id, scope, scope_id, period, unit, threshold, percent, limit_amount, "
        "used_amount) VALUES (%s, 'threshold', %s, 'key', 'k', %s, 'tokens', 50, 50, 10, 5)",
        left,
        organization,
        this_month(),
    )
    await gateway.ship([make_event(project, boot, organization_id=organization)], boot=boot, first=1)
    await eventually(lambda: left in {alert.alert_id for alert in heard})
    await eventually(lambda: books.query("SELECT 1 FROM alerts WHERE alert_id = %s AND published_at IS NOT NULL", left))


async def test_an_overrun_that_is_to_be_expected_is_told(
    usage: UsageProcess, gateway: GatewaySide, books: Books, signer: Signer
) -> None:
    """About noon where the organization is, most of the day's limit is spent: on the bus and in the list, before the limit is."""
    organization, project, boot, zone = uuid7(), uuid7(), uuid7(), zone_where_it_is_noon()
    day = period_day(datetime.now(UTC), zone)
    await gateway.put_organization(organization, time_zone=zone)
    await gateway.put_project(project, organization_id=organization, daily_tokens=100)
    await eventually(lambda: books.query("SELECT 1 FROM projects WHERE project_id = %s", project))
    heard = await hear(gateway, organization)
    event = make_event(
        project, boot, organization_id=organization, prompt_tokens=90, period_day=day, period_month=day[:7], completion_tokens=0
    )
    await gateway.ship([event], boot=boot, first=1)
    await eventually(lambda: [alert for alert in heard if alert.kind == "forecast"])
    (forecast,) = [alert for alert in heard if alert.kind == "forecast"]
    assert (forecast.scope, forecast.scope_id, forecast.period, forecast.limit, forecast.used) == (
        "project",
        project,
        day,
        100,
        90,
    )
    assert 140 < forecast.percent < 200
    headers = {"authorization": f"Bearer {signer.token({organization: 'viewer'})}"}
    async with httpx.AsyncClient(base_url=usage.url, headers=headers, trust_env=False, timeout=30) as client:
        answer = await client.get(f"/api/v1/projects/{project}/alerts", params={"kind": "forecast", "period": day})
        assert [(row["alert_id"], row["percent"]) for row in answer.json()["data"]] == [(forecast.alert_id, forecast.percent)]


def zone_where_it_is_noon() -> str:
    """A fixed zone in which it is between 12 and 13 o'clock now; POSIX names count westward."""
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"


async def test_an_organization_in_an_unknown_time_zone_costs_nobody_else_an_alert(
    usage: UsageProcess, gateway: GatewaySide, books: Books
) -> None:
    """Both are booked in one batch; the thresholds of both are told."""
    boot, organizations = uuid7(), [uuid7(), uuid7()]
    for organization, zone in zip(organizations, ("Nowhere/City", "UTC"), strict=True):
        await gateway.put_organization(organization, Limits(version=1, monthly_tokens=15), time_zone=zone)
    known = "SELECT count(*) FROM organizations WHERE organization_id = ANY(%s)"
    await eventually(lambda: books.one(known, organizations) == 2)
    heard = [await hear(gateway, organization) for organization in organizations]
    events = [make_event(uuid7(), boot, organization_id=organization) for organization in organizations]
    await gateway.ship(events, boot=boot, first=1)
    for one in heard:
        await eventually(lambda one=one: {alert.percent for alert in one if alert.kind == "threshold"} == {50, 80, 100})


async def test_many_alerts_are_said_without_waiting_for_more(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """What does not fit into one round is said in the next, at once."""
    organization, boot = uuid7(), uuid7()
    books.query(
        "INSERT INTO alerts (alert_id, kind, organization_id, scope, scope_id, period, unit, threshold, percent, limit_amount, "
        "used_amount) SELECT gen_random_uuid(), 'threshold', %s, 'key', n::text, %s, 'tokens', 50, 50, 10, 5 "
        "FROM generate_series(1, 2500) n",
        organization,
        this_month(),
    )
    await gateway.ship([make_event(uuid7(), boot, organization_id=organization)], boot=boot, first=1)
    await eventually(lambda: books.one("SELECT count(*) FROM alerts WHERE published_at IS NULL") == 0)


async def test_a_limit_that_was_removed_alerts_no_more(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """The last ask of a key, a member and an end user tells that the limit is gone: no more alerts on it, nor is it told to gateways."""
    organization, project, boot, member = uuid7(), uuid7(), uuid7(), uuid7()
    owner = {"organization_id": organization, "key_id": uuid7(), "owner_id": member, "end_user": "u", "end_user_counted": True}
    scopes = [("key", str(owner["key_id"])), ("member", f"{organization}/{member}"), ("end_user", f"{project}/u")]
    states = [await gateway.hear_quota(scope_id.rpartition("/")[2]) for _, scope_id in scopes[:2]]
    await gateway.put_organization(organization)
    await gateway.put_project(project, organization_id=organization, tokens=90)
    await eventually(lambda: books.query("SELECT 1 FROM projects WHERE project_id = %s", project))
    heard = await hear(gateway, organization)

    async def tell(version: int, limit: int | None, asking: str) -> set[int | None]:
        asks = [
            ScopeAsk(scope=scope, scope_id=scope_id, period=this_month(), limit_version=version, limit_tokens=limit, seq=version)
            for scope, scope_id in scopes
        ]
        return {answer.limit_tokens for answer in (await gateway.ask(asking, *asks)).answers}

    def told() -> set[tuple[str, int]]:
        return {(alert.scope, alert.percent) for alert in heard if alert.kind == "threshold"}

    assert await tell(1, 100, boot) == {100}
    await gateway.ship([make_event(project, boot, prompt_tokens=60, completion_tokens=0, **owner)], boot=boot, first=1)
    await eventually(lambda: told() == {("project", 50), ("key", 50), ("member", 50), ("end_user", 50)})
    assert await tell(2, None, boot) == {None}
    for said in states:
        await eventually(lambda said=said: [(one.limit_tokens, one.limit_version) for one in said[-1:]] == [(None, 2)])
    assert await tell(1, 100, uuid7()) == {None}, "a gateway that still knows the old one"
    await gateway.ship([make_event(project, boot, prompt_tokens=40, completion_tokens=0, **owner)], boot=boot, first=2)
    await eventually(lambda: ("project", 100) in told())
    assert {percent for scope, percent in told() if scope != "project"} == {50}
    for said in states:
        await eventually(lambda said=said: (said[-1].used_tokens, said[-1].limit_tokens) == (100, None))


async def test_a_budget_that_refuses_is_told_once(
    usage: UsageProcess, gateway: GatewaySide, books: Books, signer: Signer
) -> None:
    """By the first of many refusals, long before its limit is reached; on the bus and in both lists; another limit is told anew."""
    organization, project, boot = uuid7(), uuid7(), uuid7()
    await gateway.put_organization(organization)
    await gateway.put_project(project, organization_id=organization, tokens=3_000)
    await eventually(lambda: books.query("SELECT 1 FROM projects WHERE project_id = %s", project))
    heard = await hear(gateway, organization)

    def exhausted() -> list[tuple[str, str, str, int, int, int]]:
        found = [alert for alert in heard if alert.kind == "exhausted"]
        return [(one.scope_id, one.period, one.unit, one.percent, one.limit, one.used) for one in found]

    def refused(needed: int) -> RequestSettled:
        return make_refusal(project, boot, "project.monthly_tokens", needed, organization_id=organization)

    spent = make_event(project, boot, organization_id=organization, prompt_tokens=2_707, completion_tokens=0)
    await gateway.ship([spent, refused(293), refused(3_001)], boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 3", boot))
    assert books.query("SELECT 1 FROM alerts WHERE kind = 'exhausted'") == [], "held by others, or larger than the whole limit"
    await gateway.ship([refused(294) for _ in range(100)], boot=boot, first=4)
    await gateway.ship([refused(294) for _ in range(100)], boot=boot, first=104)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 203", boot))
    told = (project, this_month(), "tokens", 90, 3_000, 2_707)
    await eventually(lambda: exhausted() == [told])
    await gateway.put_project(project, version=2, organization_id=organization, tokens=5_000)
    await eventually(lambda: books.query("SELECT 1 FROM projects WHERE project_id = %s AND monthly_tokens = 5000", project))
    await gateway.ship([refused(2_500)], boot=boot, first=204)
    await eventually(lambda: exhausted() == [told, (project, this_month(), "tokens", 54, 5_000, 2_707)])
    headers = {"authorization": f"Bearer {signer.token({organization: 'viewer'})}"}
    async with httpx.AsyncClient(base_url=usage.url, headers=headers, trust_env=False, timeout=30) as client:
        for path in (f"/api/v1/organizations/{organization}/alerts", f"/api/v1/projects/{project}/alerts"):
            listed = (await client.get(path, params={"kind": "exhausted"})).json()["data"]
            assert [(one["limit"], one["used"], one["percent"]) for one in listed] == [(5_000, 2_707, 54), (3_000, 2_707, 90)]


async def test_every_owners_budget_that_refuses_is_told(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """Under the name that the ledger has for it, by the day and by the month, in tokens and in money."""
    organization, project, key, member, boot = (uuid7() for _ in range(5))
    owner = {"organization_id": organization, "key_id": key, "owner_id": member, "end_user": "u", "end_user_counted": True}
    await gateway.put_organization(organization, Limits(version=1, daily_cost_nanousd=100))
    await eventually(lambda: books.query("SELECT 1 FROM organizations WHERE organization_id = %s", organization))
    scopes = [
        ("key", key, this_day()),
        ("member", f"{organization}/{member}", this_month()),
        ("end_user", f"{project}/u", this_day()),
    ]
    asks = [
        ScopeAsk(scope=scope, scope_id=scope_id, period=period, limit_version=1, limit_tokens=100, limit_nanousd=100, seq=1)
        for scope, scope_id, period in scopes
    ]
    await gateway.ask(boot, *asks)
    heard = await hear(gateway, organization)
    spent = make_event(project, boot, prompt_tokens=40, completion_tokens=0, cost_nanousd=40, **owner)
    limits = ["organization.daily_cost", "key.daily_tokens", "member.monthly_cost", "end_user.daily_tokens"]
    await gateway.ship([spent, *(make_refusal(project, boot, limit, 61, **owner) for limit in limits)], boot=boot, first=1)
    wanted = {("organization", organization, this_day(), "nanousd"), ("key", key, this_day(), "tokens")}
    wanted |= {
        ("member", f"{organization}/{member}", this_month(), "nanousd"),
        ("end_user", f"{project}/u", this_day(), "tokens"),
    }
    await eventually(lambda: sum(alert.kind == "exhausted" for alert in heard) == len(wanted))
    found = [alert for alert in heard if alert.kind == "exhausted"]
    assert {(alert.scope, alert.scope_id, alert.period, alert.unit) for alert in found} == wanted


async def test_refusals_are_booked_whatever_becomes_of_their_alert(
    usage: UsageProcess, gateway: GatewaySide, books: Books
) -> None:
    """Where none can be stored the booking stands, and the next refusal raises it; also where a row beside it has to be parked."""
    project, full, boot = uuid7(), uuid7(), uuid7()
    await gateway.put_organization()
    await gateway.put_project(project, tokens=10)
    await eventually(lambda: books.query("SELECT 1 FROM projects WHERE project_id = %s", project))
    books.query(
        "INSERT INTO ledger (scope, scope_id, period, spent_tokens) VALUES ('project', %s, %s, %s)", full, this_month(), 2**63 - 5
    )
    books.query("ALTER TABLE alerts ADD CONSTRAINT broken CHECK (kind <> 'exhausted')")
    refused = [make_refusal(project, boot, "project.monthly_tokens", 5) for _ in range(3)]
    raised = "SELECT used_amount FROM alerts WHERE kind = 'exhausted'"
    await gateway.ship([make_event(project, boot, prompt_tokens=6, completion_tokens=0), refused[0]], boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 2", boot))
    assert books.one("SELECT count(*) FROM requests WHERE project_id = %s", project) == 2
    assert books.query(raised) == []
    books.query("ALTER TABLE alerts DROP CONSTRAINT broken")
    await gateway.ship([refused[1], make_event(full, boot)], boot=boot, first=3)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 4", boot))
    assert books.query(raised) == [(6,)]


@pytest.mark.parametrize("is_to_change", [False, True])
async def test_a_lowered_limit_is_judged_on_the_day_of_its_organization(
    usage: UsageProcess, gateway: GatewaySide, books: Books, is_to_change: bool
) -> None:
    """Where it is not UTC's day, nor that of a zone which counts only later: what was spent on it is told against the new limit."""
    organization, project, boot, zone = uuid7(), uuid7(), uuid7(), zone_of_another_day()
    day = period_day(datetime.now(UTC), zone)
    later = {"earlier_time_zone": zone, "time_zone_from": time.time_ns() // 1_000_000 + 86_400_000}
    fields = {"time_zone": "UTC", **later} if is_to_change else {"time_zone": zone}
    await gateway.put_organization(organization, Limits(version=1, daily_tokens=100), **fields)
    await gateway.put_project(project, organization_id=organization, daily_tokens=100)
    await eventually(lambda: books.query("SELECT 1 FROM projects WHERE project_id = %s", project))
    heard = await hear(gateway, organization)

    def told() -> set[tuple[str, str, int, int]]:
        return {(alert.scope, alert.period, alert.limit, alert.percent) for alert in heard if alert.kind == "threshold"}

    event = make_event(
        project, boot, organization_id=organization, prompt_tokens=60, completion_tokens=0, period_day=day, period_month=day[:7]
    )
    await gateway.ship([event], boot=boot, first=1)
    before = {(scope, day, 100, 50) for scope in ("organization", "project")}
    await eventually(lambda: told() == before)
    await gateway.put_organization(organization, Limits(version=2, daily_tokens=60), version=2, **fields)
    await gateway.put_project(project, version=2, organization_id=organization, daily_tokens=60)
    after = {(scope, day, 60, percent) for scope in ("organization", "project") for percent in (50, 80, 100)}
    await eventually(lambda: told() == before | after)


def zone_of_another_day() -> str:
    """A fixed zone in which it is not UTC's day now, neither an hour before nor after; POSIX names count westward."""
    return "Etc/GMT+12" if datetime.now(UTC).hour < 11 else "Etc/GMT-14"
