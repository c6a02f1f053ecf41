"""What a key is told of its budgets: by whose clock the period is, and from where what is used is known."""

import time
from datetime import UTC, datetime

import pytest
from nats.aio.client import Client

from common.contracts.directory import NO_LIMITS, Limits
from common.contracts.prices import built_in_book
from gateway.domain.calendar import Calendar
from gateway.domain.caller import Caller, join
from gateway.outbound.grants import Grants
from gateway.outbound.rates import Rates
from gateway.use_cases.show_quota import QuotaStates, ShowQuota
from gateway.use_cases.take_hold import TakeHold
from gateway.use_cases.take_rate import TakeRate
from tests.unit.gateway.directory_makers import fresh_plaintext, key_record, organization_record, project_record

FAR = 45 * 86_400_000


class Rig:
    """A gateway's budget side, and who shows it."""

    def __init__(self) -> None:
        client = Client()
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
