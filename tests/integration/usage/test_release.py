"""The operator's commands for a gateway that was lost with its disk: which boots are open, and what one of them gives back."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.contracts.grants import ScopeAsk
from common.contracts.identifiers import uuid7
from devstack.servers.ports import free_port
from tests.days import this_day, this_month
from tests.integration.usage.conftest import Books, UsageProcess, eventually
from tests.integration.usage.gateway_side import GatewaySide, make_event

AGED = (
    "UPDATE boots SET last_seen = last_seen - make_interval(mins => %s) WHERE boot = %s",
    "UPDATE grants SET changed_at = changed_at - make_interval(mins => %s) WHERE boot = %s",
)


async def grant(gateway: GatewaySide, books: Books, boot: str, project: str, key: str) -> None:
    """1,000 tokens of a project's month, 400 and 5,000 nano-USD of a key's day."""
    await gateway.put_project(project, tokens=1_000)
    await eventually(lambda: books.query("SELECT 1 FROM projects WHERE project_id = %s", project))
    limits: dict[str, Any] = {"limit_version": 1, "limit_tokens": 400, "limit_nanousd": 5_000, "seq": 1}
    asks = [
        ScopeAsk(scope="project", scope_id=project, period=this_month(), limit_version=1, seq=1, need_tokens=1_000),
        ScopeAsk(scope="key", scope_id=key, period=this_day(), need_tokens=400, need_nanousd=5_000, **limits),
    ]
    answers = (await gateway.ask(boot, *asks)).answers
    assert [answer.granted_tokens for answer in answers] == [1_000, 400]


def silence(books: Books, boot: str, *, minutes: int = 31) -> None:
    """As if nothing had been heard of a boot for so long."""
    for statement in AGED:
        books.query(statement, minutes, boot)


async def say_that_it_lives(gateway: GatewaySide, boot: str) -> None:
    """Until it is cancelled, as often as gateways do."""
    while True:
        await gateway.present(boot)
        await asyncio.sleep(1.0)


async def test_a_boot_that_is_gone_gives_back_what_it_has_not_spent(
    usage: UsageProcess, gateway: GatewaySide, books: Books
) -> None:
    """Told by scope and period, once; others are granted it, and the boot gets nothing more."""
    project, key, dead = uuid7(), uuid7(), uuid7()
    await grant(gateway, books, dead, project, key)
    await gateway.ship([make_event(project, dead, key_id=key)], boot=dead, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 1", dead))
    silence(books, dead)
    done = usage.run("release", "--boot", dead)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [
        {"scope": "key", "scope_id": key, "period": this_day(), "released_tokens": 385, "released_nanousd": 4_000},
        {"scope": "project", "scope_id": project, "period": this_month(), "released_tokens": 985, "released_nanousd": 0},
    ]
    assert usage.run("release", "--boot", dead).returncode == 1
    assert (await gateway.ask_tokens(uuid7(), project, 1, need_tokens=985)).status == "granted"
    late = await gateway.ask_tokens(dead, project, 2, need_tokens=1)
    assert (late.status, late.granted_tokens, late.granted_nanousd) == ("closed", 0, None)


@pytest.mark.parametrize("heard", ["ask", "envelope", "long ago"])
async def test_a_boot_that_may_live_is_released_only_by_force(
    usage: UsageProcess, gateway: GatewaySide, books: Books, heard: str
) -> None:
    """Heard of within half an hour, by an ask or by an envelope: one sentence says so, and nothing is changed. Without contact it may
    spend for a quarter of an hour, and what it has let in takes its time.
    """
    project, key, boot = uuid7(), uuid7(), uuid7()
    await grant(gateway, books, boot, project, key)
    if heard == "envelope":
        silence(books, boot)
        await gateway.ship([make_event(project, boot)], boot=boot, first=1)
        await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s", boot))
    if heard == "long ago":
        silence(books, boot, minutes=25)
    refused = usage.run("release", "--boot", boot)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--force" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not books.query("SELECT 1 FROM boots WHERE boot = %s AND closed", boot)
    assert usage.run("release", "--boot", boot, "--force").returncode == 0
    assert books.query("SELECT 1 FROM boots WHERE boot = %s AND closed", boot)


async def test_a_boot_that_says_it_lives_is_released_only_by_force(
    usage: UsageProcess, gateway: GatewaySide, books: Books
) -> None:
    """However long the books have heard nothing: it may be idle, or be told again and again to ask later."""
    project, key, boot = uuid7(), uuid7(), uuid7()
    await grant(gateway, books, boot, project, key)
    silence(books, boot)
    saying = asyncio.create_task(say_that_it_lives(gateway, boot))
    refused = await asyncio.to_thread(usage.run, "release", "--boot", boot)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "lives" in refused.stderr
    assert not books.query("SELECT 1 FROM boots WHERE boot = %s AND closed", boot)
    forced = await asyncio.to_thread(usage.run, "release", "--boot", boot, "--force")
    assert forced.returncode == 0
    saying.cancel()
    await asyncio.gather(saying, return_exceptions=True)


async def test_while_nobody_can_be_heard_a_boot_is_released_only_by_force(
    usage: UsageProcess, gateway: GatewaySide, books: Books
) -> None:
    """Without NATS silence says nothing."""
    project, key, boot = uuid7(), uuid7(), uuid7()
    await grant(gateway, books, boot, project, key)
    silence(books, boot)
    usage.env["USAGE_NATS_URL"] = f"nats://127.0.0.1:{free_port()}"
    refused = usage.run("release", "--boot", boot)
    assert (refused.returncode, "NATS is away" in refused.stderr) == (1, True)
    assert usage.run("release", "--boot", boot, "--force").returncode == 0


async def test_a_boot_that_nobody_knows_is_not_released(usage: UsageProcess) -> None:
    """Not even by force."""
    refused = usage.run("release", "--boot", uuid7(), "--force")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "unknown" in refused.stderr


async def test_open_boots_are_listed(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """Those that asked, those that reported and those that did both, the longest unheard first; not those that are closed."""
    project, key, dead, spent, closed = uuid7(), uuid7(), uuid7(), uuid7(), uuid7()
    await grant(gateway, books, dead, project, key)
    await gateway.ship([make_event(project, spent)], boot=spent, first=1)
    await gateway.ship([make_event(project, closed)], boot=closed, first=1, close=1)
    await eventually(lambda: books.one("SELECT count(*) FROM boots WHERE boot = ANY(%s)", [spent, closed]) == 2)
    silence(books, dead)
    done = usage.run("boots")
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["boot"], first["gateway"], first["unspent"]) == (dead, "g1", {"key": 1, "project": 1})
    assert (second["boot"], second["gateway"], second["unspent"]) == (spent, "g1", {})
    assert datetime.now(UTC) - datetime.fromisoformat(first["last_heard"]) > timedelta(minutes=31)
