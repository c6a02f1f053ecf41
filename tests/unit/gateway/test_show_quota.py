"""What a key is told of its budgets: by whose clock the period is, and from where what is used is known."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from common.contracts.directory import NO_LIMITS, Limits
from common.contracts.events import QuotaState
from common.contracts.prices import built_in_book
from gateway.domain.calendar import Calendar
from gateway.domain.caller import Caller, join
from gateway.outbound.grants import Grants
from gateway.outbound.rates import Rates
from gateway.use_cases.show_quota import QuotaStates, ShowQuota
from gateway.use_cases.take_hold import TakeHold
from gateway.use_cases.take_rate import TakeRate
from tests.unit.gateway.directory_makers import PROJECT, fresh_plaintext, key_record, organization_record, project_record
from tests.unit.gateway.simulated_authority import Wire

FAR = 45 * 86_400_000


class Rig:
    """A gateway's budget side, and who shows it."""

    def __init__(self) -> None:
        self.wire = Wire(project=(1_000, None))
        client: Any = self.wire
        self.grants = Grants(client, gateway="g", boot="b", expected=(100, 0))
        self.take_hold = TakeHold(self.grants, Calendar())
        take_rate = TakeRate(Rates(client, gateway="g", boot="b"), NO_LIMITS)
        self.states = QuotaStates()
        self.show = ShowQuota(
            self.take_hold, take_rate, self.states, self.take_hold.calendar, built_in_book().dearest(), most_in_flight=10
        )


def make_caller() -> Caller:
    project = project_record(limits=Limits(version=1, monthly_tokens=1_000))
    return join(key_record(fresh_plaintext()), project, organization_record(), None)


def month_of(at_ms: float) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m")


@pytest.mark.parametrize("skew_ms", [FAR, -FAR])
def test_a_clock_that_is_far_off_does_not_say_which_month_is_shown_or_prepared(skew_ms: int) -> None:
    """The authority's does, as for requests."""
    rig = Rig()
    rig.grants.skew_ms = skew_ms
    caller = make_caller()
    rig.take_hold.prepare(caller.project, caller.organization)
    trusted = {month_of(time.time() * 1000 + skew_ms)}
    prepared = {period for scope, _, period in rig.grants.accounts if scope == "project"}
    shown = rig.show(caller, "")["data"][0]["period"]
    trusted.add(month_of(time.time() * 1000 + skew_ms))  # should it have ended meanwhile
    assert prepared <= trusted
    assert prepared
    assert shown in trusted


async def test_what_usage_has_answered_is_shown_until_it_publishes_more() -> None:
    """A gateway that has just begun knows what is used as soon as it has asked, though nobody spends."""
    rig, caller = Rig(), make_caller()
    shown = rig.show(caller, "")["data"][0]
    assert (shown["used_tokens"], shown["as_of"]) == (None, None)
    rig.wire.spend(("project", PROJECT, shown["period"]), "another boot", 300)
    began = time.time() * 1000
    account = rig.grants.accounts["project", PROJECT, shown["period"]]
    asking = asyncio.create_task(rig.grants.run())
    await rig.grants.look([account], 60)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    answered = rig.show(caller, "")["data"][0]
    assert answered["used_tokens"] == 300
    assert began - 1000 < answered["as_of"] < time.time() * 1000 + 1000
    published = QuotaState(
        scope="project",
        scope_id=PROJECT,
        period=shown["period"],
        used_tokens=400,
        used_nanousd=0,
        limit_tokens=1_000,
        limit_nanousd=None,
        limit_version=1,
        as_of=answered["as_of"] + 1,
    )
    rig.states.take(published)
    told = rig.show(caller, "")["data"][0]
    assert (told["used_tokens"], told["as_of"]) == (400, published.as_of)


def test_all_limits_of_an_end_user_are_shown_on_request() -> None:
    """Budgets and limits per minute; to who does not ask for one, those of none."""
    rig = Rig()
    limits = Limits(version=1, daily_tokens=500, requests_per_minute=7)
    caller = join(key_record(fresh_plaintext()), project_record(end_user_limits=limits), organization_record(), None)
    shown, others = rig.show(caller, "", "ada"), rig.show(caller, "")
    assert [view["limit_source"] for view in shown["rate_limits"]] == ["end_user.requests_per_minute"]
    assert shown["rate_limits"][0]["scope_id"] == f"{PROJECT}/ada"
    assert [quota["limit_tokens"] for quota in shown["data"] if quota["scope"] == "end_user"] == [500]
    assert others["rate_limits"] == []
    assert all(quota["scope"] != "end_user" for quota in others["data"])
