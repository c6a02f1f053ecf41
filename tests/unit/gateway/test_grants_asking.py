"""How much budget a gateway asks for and which accounts it keeps, seen from what it does while nobody answers."""

import asyncio
import time
from datetime import UTC, datetime

import pytest
from nats.aio.client import Client

from common.contracts.directory import Limits, OrganizationRecord, ProjectRecord
from common.contracts.events import QuotaState
from gateway.domain.budget import Hold
from gateway.domain.calendar import Calendar
from gateway.outbound.grants import Grants
from gateway.use_cases.show_quota import QuotaStates
from gateway.use_cases.take_hold import TakeHold

LIMIT = 50_000_000


async def test_silence_is_no_reason_to_ask_for_more() -> None:
    """While the authority is away, spending what is left does not make the next ask larger: one boot must not take the whole budget."""
    grants = Grants(Client(), gateway="g", boot="b", expected=(1_000, 1_000))
    account = grants.account("project", "p", "2026-11", LIMIT, None, 1)
    account.granted_tokens = 16_000
    asking = asyncio.create_task(grants.run())
    for _ in range(15):
        hold = Hold((account,))
        assert hold.try_take(1_000, 1_000)
        grants.touched(account, 1_000, 1_000)
        await asyncio.sleep(0.005)
    assert grants.asking.failures
    assert grants._paces["project", "p", "2026-11"].shape((), time.monotonic()).want_tokens <= 16_000
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


NOVEMBER = ("project", "p", "2026-11")
LATER = datetime(2026, 12, 4, tzinfo=UTC).timestamp()


def make_grants() -> Grants:
    return Grants(Client(), gateway="g", boot="b", expected=(1_000, 1_000))


def make_project(tokens: int | None) -> ProjectRecord:
    limits = Limits(version=1, monthly_tokens=tokens)
    return ProjectRecord(project_id="p", organization_id="o", version=1, status="active", limits=limits)


@pytest.mark.parametrize(("tokens", "accounts"), [(None, 0), (LIMIT, 1)])
async def test_only_projects_with_limits_are_prepared(tokens: int | None, accounts: int) -> None:
    """A directory full of projects without limits costs the gateway nothing until they are used."""
    grants = make_grants()
    organization = OrganizationRecord(organization_id="o", version=1, status="active")
    TakeHold(grants, Calendar()).prepare(make_project(tokens), organization)
    assert len(grants.accounts) == accounts


async def test_the_ticks_look_only_at_limited_accounts_in_use() -> None:
    """However many projects there are, the event loop is not held by those that nobody uses."""
    grants = make_grants()
    idle, used, unlimited = (
        grants.account("project", name, "2026-11", limit, None, 1) for name, limit in (("a", 9), ("b", 9), ("c", None))
    )
    grants.touched(used, 1, 1)
    assert not unlimited.seq
    assert grants._active == {("project", "b", "2026-11")}

    pace = grants._paces["project", "b", "2026-11"]
    pace.rate_tokens = 5.0
    pace.boost = 8
    now = time.monotonic() + 61
    grants._tick(("project", "b", "2026-11"), now)
    assert not grants._active
    assert (pace.rate_tokens, pace.boost, idle.seq) == (0.0, 1, 0)
    grants.touched(used, 1, 1)
    assert grants._active, "used again, it is looked at again"


async def test_what_was_settled_before_is_no_rate_of_now() -> None:
    """An account that comes into view again after much spending does not ask as if all of that were a second's."""
    grants = make_grants()
    account = grants.account(*NOVEMBER, LIMIT, None, 1)
    account.granted_tokens = account.settled_tokens = 10_000_000
    grants.touched(account, 1_000, 1_000)
    grants._tick(NOVEMBER, time.monotonic())
    assert grants._paces[NOVEMBER].rate_tokens == 0


async def test_ended_periods_are_forgotten_unless_in_use() -> None:
    """Two days after a month, in no time zone anything of it can be asked for; a hold that is not settled keeps its account."""
    grants = make_grants()
    for name in ("a", "b"):
        grants.account("project", name, "2026-11", LIMIT, None, 1).granted_tokens = 10_000
    grants.account("project", "a", "2026-12", LIMIT, None, 1)
    hold = Hold((grants.accounts["project", "b", "2026-11"],))
    assert hold.try_take(10, 10)
    grants.drop_ended(LATER - 2 * 86_400)
    assert len(grants.accounts) == 3
    grants.drop_ended(LATER)
    assert set(grants.accounts) == {("project", "b", "2026-11"), ("project", "a", "2026-12")}
    for name in ("a", "b"):
        for account in grants.find("project", name):
            grants.change_limits(account, 5, None, 2)


def test_quota_states_of_ended_periods_are_forgotten() -> None:
    """What usage says of a month is shown while the month can matter."""
    states = QuotaStates()
    for period in ("2026-11", "2026-12"):
        states.take(
            QuotaState(
                scope="project",
                scope_id="p",
                period=period,
                used_tokens=1,
                used_nanousd=1,
                limit_tokens=None,
                limit_nanousd=None,
                limit_version=1,
                as_of=1,
            )
        )
    states.forget_ended(LATER)
    assert states.find(*NOVEMBER) is None
    assert states.find("project", "p", "2026-12") is not None
