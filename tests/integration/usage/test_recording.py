"""Booking: what is heard is in the books once, whatever the order, the repeats and the company."""

import random

from common.contracts.identifiers import uuid7
from tests.days import this_day, this_month
from tests.integration.usage.conftest import Books, UsageProcess, eventually
from tests.integration.usage.gateway_side import GatewaySide, make_event

LEDGER = "SELECT spent_tokens, spent_nanousd FROM ledger WHERE scope_id = %s AND length(period) = 7"
BOOT_SPEND = "SELECT sum(tokens)::bigint, sum(nanousd)::bigint FROM boot_spend WHERE scope_id = %s AND length(period) = 7"


async def test_an_envelope_is_in_the_books(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """Two settled requests reach raw rows, the daily aggregate, the ledger and the watermark."""
    boot, project = uuid7(), uuid7()
    watermarks, quota = await gateway.hear_watermarks(boot), await gateway.hear_quota(project)
    await gateway.ship(
        [make_event(project, boot), make_event(project, boot, status="error", http_status=502)], boot=boot, first=1
    )
    await eventually(lambda: any(mark.contiguous == 2 for mark in watermarks))
    assert books.query("SELECT count(*) FROM requests WHERE project_id = %s", project) == [(2,)]
    assert books.query(
        "SELECT day::text, requests, errors, prompt_tokens, completion_tokens, cost_nanousd FROM daily_usage WHERE project_id = %s",
        project,
    ) == [(this_day(), 2, 1, 20, 10, 2_000)]
    assert books.query(
        "SELECT period, spent_tokens, spent_nanousd FROM ledger WHERE scope_id = %s AND length(period) = 7", project
    ) == [(this_month(), 30, 2_000)]
    await eventually(lambda: quota and quota[-1].used_tokens == 30)


async def test_repeats_and_order_change_nothing(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """Usage heard twice, out of order, cut into other envelopes or overlapping, is booked as if heard once."""
    chance = random.Random(20_261)
    projects, boots = [uuid7() for _ in range(3)], [uuid7() for _ in range(3)]
    told = {
        boot: [make_event(chance.choice(projects), boot, prompt_tokens=chance.randrange(50)) for _ in range(40)] for boot in boots
    }
    deliveries = [(boot, start, start + 10) for boot in boots for start in range(0, 40, 10)]
    for boot in boots * 12:
        start = chance.randrange(39)
        deliveries.append((boot, start, chance.randrange(start + 1, 41)))
    chance.shuffle(deliveries)
    for boot, start, end in deliveries:
        await gateway.ship(told[boot][start:end], boot=boot, first=start + 1)
    await eventually(lambda: books.one("SELECT count(*) FROM boots WHERE contiguous = 40") == 3)
    await eventually(lambda: books.one("SELECT sum(num) FROM (SELECT count(*) AS num FROM requests) AS r") == 120)
    for project in projects:
        of_project = [event for events in told.values() for event in events if event.project_id == project]
        tokens, cost = sum(e.prompt_tokens + e.completion_tokens for e in of_project), sum(e.cost_nanousd for e in of_project)
        assert books.query(
            "SELECT spent_tokens, spent_nanousd FROM ledger WHERE scope_id = %s AND length(period) = 7", project
        ) == [(tokens, cost)]
        assert books.query(
            "SELECT sum(tokens)::bigint, sum(nanousd)::bigint FROM boot_spend WHERE scope_id = %s AND length(period) = 7", project
        ) == [(tokens, cost)]
        assert books.query(
            "SELECT sum(requests)::bigint, sum(prompt_tokens + completion_tokens)::bigint FROM daily_usage WHERE project_id = %s",
            project,
        ) == [(len(of_project), tokens)]
        assert books.query(
            "SELECT sum(observations)::bigint FROM durations WHERE project_id = %s AND metric = 'latency'", project
        ) == [(len(of_project),)]


async def test_every_scope_of_a_request_is_booked_by_month_and_by_day(
    usage: UsageProcess, gateway: GatewaySide, books: Books
) -> None:
    """Organization, project, key, member and, where they have limits, end users; a repeat adds nothing anywhere."""
    boot, project, organization = uuid7(), uuid7(), uuid7()
    of_ada = {"organization_id": organization, "owner_id": "ada", "end_user": "u/1"}
    events = [
        make_event(project, boot, key_id="k1", end_user_counted=True, **of_ada),
        make_event(project, boot, key_id="k1", **of_ada),
        make_event(project, boot, key_id="k2", organization_id=organization, end_user="u/2"),
    ]
    for _ in range(2):
        await gateway.ship(events, boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 3", boot))
    each = sum((events[0].prompt_tokens, events[0].completion_tokens))
    for period in (this_month(), this_day()):
        found = books.query(
            "SELECT scope, scope_id, spent_tokens, b.tokens FROM ledger l JOIN boot_spend b USING (scope, scope_id, period) "
            "WHERE b.boot = %s AND period = %s ORDER BY 1, 2",
            boot,
            period,
        )
        assert found == [
            ("end_user", f"{project}/u/1", each, each),
            ("key", "k1", 2 * each, 2 * each),
            ("key", "k2", each, each),
            ("member", f"{organization}/ada", 2 * each, 2 * each),
            ("organization", organization, 3 * each, 3 * each),
            ("project", project, 3 * each, 3 * each),
        ]
