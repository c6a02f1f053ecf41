"""What limits cost: the same gateway process asked the same thing with keys that differ in nothing but what limits them.

`off`: nothing has a limit. `budgets`: organization, project, key, the member who owns it and the end user each have tokens and money by
the day and by the month: ten accounts in each hold. `all`: they have requests and tokens per minute and a concurrency besides.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import httpx

from bench.admission import Times
from bench.driver import Driver, request_body
from bench.measure import Faults, Say, Series, cpu_us, flat_out, interleave, warm_up
from bench.peers.ours import Stack
from bench.peers.system import System, Unfit
from bench.rounds import Spread, interval, spread

BUDGETS = {
    "monthly_tokens": 10**15,
    "monthly_cost_nanousd": 10**15,
    "daily_tokens": 10**15,
    "daily_cost_nanousd": 10**15,
}
RATES = {"requests_per_minute": 10**9, "tokens_per_minute": 10**12, "concurrency": 10**5}
"""Nothing that a run reaches: what is measured is the counting, not the refusing."""

OFF = "limits-off"
VARIANTS: dict[str, dict[str, int]] = {OFF: {}, "limits-budgets": BUDGETS, "limits-all": {**BUDGETS, **RATES}}
END_USER = "somebody"
ROUNDS = 24
SECONDS = 1.0
BEGIN_SECONDS = 30.0
SECONDS_TO_SETTLE = 2.0
"""For the grants of what is asked of them for the first time."""


@dataclass(frozen=True)
class Cost:
    """How many times the CPU time of a request without limits: median of the rounds, its 95 % interval, and what it was in µs."""

    ratio: Spread
    interval: tuple[float, float] | None
    cpu_us: Spread


@dataclass
class LimitsFindings:
    """By variant; `projects` tells whose books to compare with `accepted` answers."""

    rounds: int = 0
    series: Mapping[str, Series] = field(default_factory=dict)
    projects: Mapping[str, str] = field(default_factory=dict)
    admission: Times | None = None

    def cost(self, name: str) -> Cost | None:
        """None where it was not measured, or the variant without limits was not."""
        if name not in self.series or OFF not in self.series:
            return None
        mine, base = self.series[name].by_round(cpu_us), self.series[OFF].by_round(cpu_us)
        found = [mine[number] / base[number] for number in sorted(mine.keys() & base.keys())]
        ratio, absolute = spread(found), spread(list(mine.values()))
        return None if ratio is None or absolute is None else Cost(ratio, interval(found), absolute)


def measure_limits(driver: Driver, stack: Stack, gateway: System, faults: Faults, say: Say, *, rounds: int) -> LimitsFindings:
    """The variants in turn, forwards and backwards. Raises Unfit when they cannot be made."""
    made = make_variants(stack, gateway)
    systems = [system for system, _ in made]
    for system in systems:
        _begin(driver, system)
    time.sleep(SECONDS_TO_SETTLE)
    warm_up(driver, systems, faults, say, streams=False)
    cell = partial(flat_out, driver, stream=False, seconds=SECONDS)
    series = interleave(systems, faults, cell, rounds=rounds, label="limits", say=say)
    return LimitsFindings(rounds, series, {system.name: project for system, project in made})


def _begin(driver: Driver, system: System) -> None:
    """Its first request. Until its key is known and its first grants are there, it is asked again, as clients do; a refusal is booked
    too. Raises Unfit when no answer comes.
    """
    body = request_body(system.model, stream=False, end_user=system.end_user)
    url, ends = f"http://127.0.0.1:{system.port}{system.path}", time.monotonic() + BEGIN_SECONDS
    while time.monotonic() < ends:
        answer = httpx.post(url, json=body, headers=dict(system.headers), timeout=30, trust_env=False)
        if answer.status_code != httpx.codes.UNAUTHORIZED:
            driver.accepted[system.name] = driver.accepted.get(system.name, 0) + 1
        if answer.is_success:
            return
        time.sleep(1)
    raise Unfit(f"{system.name}: no answer in {BEGIN_SECONDS:.0f} s, in the end {answer.status_code} {answer.text[:300]}")


def make_variants(stack: Stack, gateway: System) -> list[tuple[System, str]]:
    """The gateway under a key for each, with the project whose books tell what came through. Raises Unfit when accounts refuses."""
    base = f"{stack.facts['accounts_url']}/api/v1"
    try:
        with httpx.Client(base_url=base, headers=stack.login(), timeout=30, trust_env=False) as accounts:
            return [_make(accounts, gateway, name, limits) for name, limits in VARIANTS.items()]
    except httpx.HTTPError as fault:
        raise Unfit(f"accounts refused or did not answer: {fault}") from fault


def _make(accounts: httpx.Client, gateway: System, name: str, limits: dict[str, int]) -> tuple[System, str]:
    """An organization of its own, with limits for whoever a request counts against, or for nobody."""
    mine = {"limits": limits} if limits else {}
    users = {"end_user_limits": limits} if limits else {}
    organization = _post(accounts, "/organizations", {"name": name, **mine, **users})["id"]
    if limits:
        me = accounts.get("/auth/me").raise_for_status().json()["user_id"]
        accounts.patch(f"/organizations/{organization}/members/{me}", json=mine).raise_for_status()
    project = _post(accounts, f"/organizations/{organization}/projects", {"name": "Bench", **mine, **users})["id"]
    key = _post(accounts, f"/projects/{project}/keys", {"name": "bench", **mine})["key"]
    headers = {"Authorization": f"Bearer {key}"}
    return replace(gateway, name=name, headers=headers, end_user=END_USER, warm_up_seconds=1.0), project


def _post(accounts: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    return accounts.post(path, json=body).raise_for_status().json()


def as_results(found: LimitsFindings) -> dict[str, Any]:
    """What `results.json` holds of it."""
    costs = {name: found.cost(name) for name in VARIANTS if name != OFF}
    base = spread(list(found.series[OFF].by_round(cpu_us).values())) if OFF in found.series else None
    return {
        "rounds": found.rounds,
        "off_cpu_us": None if base is None else round(base.median, 2),
        "times_off": {
            name: None
            if cost is None
            else {
                "ratio": round(cost.ratio.median, 4),
                "interval_95": None if cost.interval is None else [round(end, 4) for end in cost.interval],
                "cpu_us": round(cost.cpu_us.median, 2),
            }
            for name, cost in costs.items()
        },
        "admission_us": None
        if found.admission is None
        else {
            "count": found.admission.count,
            "p50": round(found.admission.p50, 2),
            "p99": round(found.admission.p99, 2),
        },
    }


def lines(found: LimitsFindings) -> Sequence[str]:
    """For the terminal."""
    told = []
    for name in VARIANTS:
        cost = found.cost(name)
        if cost is None:
            told.append(f"  {name:16} no result")
        elif name == OFF:
            told.append(f"  {name:16} {cost.cpu_us.show(1, ' µs'):>28}")
        else:
            between = f"{cost.interval[0]:.3f}–{cost.interval[1]:.3f}" if cost.interval else "too few rounds"
            told.append(f"  {name:16} {cost.cpu_us.show(1, ' µs'):>28}   × {cost.ratio.median:.3f} of off (95 %: {between})")
    if found.admission is not None:
        it = found.admission
        told.append(f"  admission alone, five scopes, in process: p50 {it.p50:.1f}, p99 {it.p99:.1f} µs of {it.count:,}")
    return told
