"""How long an admission takes inside the process: five scopes by day and month, in tokens and money, per minute and at once.

The gateway's own use cases, on grants and leases that are at hand; nothing else runs. What is timed is what a request does to be let in:
its accounts looked up, its part of the limits per minute taken, its hold taken in all accounts or in none.
"""

import asyncio
import gc
import subprocess
import sys
import time
from dataclasses import dataclass

import msgspec
from nats.aio.client import Client

from common.contracts.directory import NO_LIMITS, KeyRecord, Limits, MemberRecord, OrganizationRecord, ProjectRecord
from common.contracts.grants import ScopeAnswer
from common.contracts.rates import RateAnswer
from gateway.app import GC_THRESHOLDS
from gateway.domain.budget import Hold
from gateway.domain.calendar import Calendar
from gateway.domain.caller import Caller, join
from gateway.domain.patience import Patience
from gateway.domain.rate_limit import NOTHING
from gateway.outbound.grants import Grants
from gateway.outbound.rates import Rates
from gateway.use_cases.take_hold import TakeHold
from gateway.use_cases.take_rate import TakeRate

TIMES = 200_000
WARM_UP = 20_000
PLENTY = 10**15
LONG = 10**6
END_USER = "somebody"
TOKENS, NANOUSD = 900, 200_000


@dataclass(frozen=True)
class Times:
    """Microseconds."""

    count: int
    p50: float
    p99: float
    most: float


async def measure_admission(times: int = TIMES) -> Times:
    """Admissions one after the other, each settled before the next."""
    caller = make_caller()
    take_hold = TakeHold(Grants(Client(), gateway="bench", boot="bench", expected=(TOKENS, NANOUSD)), Calendar())
    take_rate = TakeRate(Rates(Client(), gateway="bench", boot="bench"), NO_LIMITS)
    _grant(take_hold, take_rate, caller)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    found = [await _admit(take_hold, take_rate, caller) for _ in range(WARM_UP + times)][WARM_UP:]
    found.sort()
    return Times(times, found[times // 2] / 1000, found[times * 99 // 100] / 1000, found[-1] / 1000)


async def _admit(take_hold: TakeHold, take_rate: TakeRate, caller: Caller) -> int:
    """Nanoseconds."""
    began = time.perf_counter_ns()
    day = take_hold.calendar.day(caller.organization.time_zone, time.time_ns() // 1_000_000)
    standing = take_hold.standing(caller, day, END_USER)
    permit = take_rate.permit(take_rate.rated(caller, END_USER, ""), Patience(0.05))
    leased = permit.take_now(1, TOKENS, 1)
    hold = Hold(standing.accounts, standing.binding)
    taken = take_hold.take_now(hold, standing, TOKENS, NANOUSD)
    took = time.perf_counter_ns() - began
    if not (leased and taken):
        raise RuntimeError("an admission was refused: what was measured was not an admission")
    permit.settle(TOKENS // 2)
    hold.settle(TOKENS // 2, NANOUSD // 2)
    return took


def make_caller() -> Caller:
    """An API key whose organization, project, owner and end users have all limits there are, as it has itself."""
    limits = Limits(
        version=1,
        monthly_tokens=PLENTY,
        monthly_cost_nanousd=PLENTY,
        daily_tokens=PLENTY,
        daily_cost_nanousd=PLENTY,
        requests_per_minute=PLENTY,
        tokens_per_minute=PLENTY,
        concurrency=PLENTY,
    )
    organization = OrganizationRecord(
        organization_id="o", version=1, status="active", limits=limits, time_zone="Europe/Berlin", end_user_limits=limits
    )
    project = ProjectRecord(
        project_id="p", organization_id="o", version=1, status="active", limits=limits, end_user_limits=limits
    )
    member = MemberRecord(organization_id="o", member_id="m", version=1, status="active", limits=limits)
    key = KeyRecord(
        key_id="k",
        lookup="l",
        project_id="p",
        organization_id="o",
        version=1,
        status="active",
        secrets=(),
        expires_at=None,
        owner_id="m",
        limits=limits,
    )
    return join(key, project, organization, member)


def _grant(take_hold: TakeHold, take_rate: TakeRate, caller: Caller) -> None:
    """As the authority would answer: more than all that is measured."""
    day = take_hold.calendar.day(caller.organization.time_zone, time.time_ns() // 1_000_000)
    accounts = take_hold.standing(caller, day, END_USER).limited
    if len(accounts) != 10:
        raise RuntimeError(f"{len(accounts)} accounts instead of those of five scopes by day and month")
    for account, _ in accounts:
        account.take_answer(
            ScopeAnswer(
                scope=account.scope,
                scope_id=account.scope_id,
                period=account.period,
                seq=1,
                status="granted",
                granted_tokens=PLENTY,
                granted_nanousd=PLENTY,
            )
        )
    grant_leases(take_rate, caller)


def grant_leases(take_rate: TakeRate, caller: Caller) -> None:
    """The same for limits per minute."""
    for scope in take_rate.rated(caller, END_USER, "").scopes:
        ask = scope.shape(NOTHING, time.monotonic(), 1)
        answer = RateAnswer(
            scope=scope.scope,
            scope_id=scope.scope_id,
            seq=ask.seq,
            lease_requests=PLENTY,
            lease_tokens=PLENTY,
            lease_slots=PLENTY,
        )
        scope.take(answer, LONG, time.monotonic())


def measured_apart(core: int) -> Times:
    """The same in a process of its own on one core. Raises subprocess.CalledProcessError."""
    command = ["taskset", "-c", str(core), sys.executable, "-m", "bench.admission"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    return msgspec.json.decode(done.stdout, type=Times)


if __name__ == "__main__":
    print(msgspec.json.encode(asyncio.run(measure_admission())).decode())
