"""Alerts: raised once each from what is booked, said on the bus, listed for those who may see them."""

from typing import Any

import httpx
import msgspec

from common.contracts.events import AlertRaised
from common.contracts.identifiers import uuid7
from common.contracts.subjects import ALERTS
from tests.integration.usage.conftest import Books, UsageProcess, eventually
from tests.integration.usage.gateway_side import DAY, MONTH, GatewaySide, make_event
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
        ("project", project, MONTH, "tokens", 100)
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
            assert (await client.get(path, params={"period": DAY})).json()["data"] == []
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
        MONTH,
    )
    await gateway.ship([make_event(project, boot, organization_id=organization)], boot=boot, first=1)
    await eventually(lambda: left in {alert.alert_id for alert in heard})
    await eventually(lambda: books.query("SELECT 1 FROM alerts WHERE alert_id = %s AND published_at IS NOT NULL", left))
