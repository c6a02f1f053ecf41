"""A bound that refuses early is no good: how much of a budget is spent over four gateways before anything is refused."""

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.e2e.harness import Project, World
from tests.e2e.running_stack import call

GATEWAYS = 4
pytestmark = [pytest.mark.budgets, pytest.mark.timeout(900)]

AGENTS = """
[[models]]
name = "agent-{length}"
upstream = "simulated"
model = "sim-cached-90-length-{length}"
price = "sim-deep-1"
"""
LENGTHS = (1_000, 1_500, 2_000)
USD = 1_000_000_000
STREAMS = 50
FULL = os.environ.get("BUDGET_FULL") == "1"
"""Answers of 1,000 tokens, prompts of 600 KB and $25, which takes minutes, and production's wait for a grant, which a machine busy with
other tests does not keep; otherwise a fifth and a tenth of the ones and more of the other, which the same rules bound alike."""

WAIT_MS = "50" if FULL else "10000"


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Four gateways."""
    world = World(tmp_path_factory.mktemp("utilization"), gateways=GATEWAYS, GRANT_WAIT_MS=WAIT_MS, MAX_BODY_BYTES="2000000")
    with world.routes.open("a") as routes:
        routes.write("".join(AGENTS.format(length=length) for length in LENGTHS))
    with world:
        yield world


def spent(world: World, project: Project, unit: str) -> int:
    """What the ledger says once every request has been booked."""
    sql = f"SELECT coalesce(max(spent_{unit}), 0) FROM usage.ledger WHERE scope_id = '{project.id}'"  # noqa: S608 - our own id
    last, same = -1, 0
    while same < 10:
        now = int(world.postgres.run_sql(sql, database="codexflow").strip())
        last, same = now, same + 1 if now == last else 0
        time.sleep(0.1)
    return last


class Askers:
    """Clients over all gateways that ask until they are told to stop. `put_off` counts 503 budget_unavailable, where usage has not
    answered within the gateway's patience: such a request is asked again a second later, as clients of OpenAI do it by themselves.
    """

    def __init__(self, world: World, project: Project, make_body: Callable[[int], bytes]) -> None:
        self._urls = [f"{gateway.url}/v1/chat/completions" for gateway in world.gateways]
        self._headers = {"authorization": f"Bearer {project.key}", "content-type": "application/json"}
        self._make_body = make_body
        self._numbers = itertools.count()
        self.served = self.refused = self.put_off = 0
        self.first_refusal: int | None = None
        self.tokens = 0

    async def run(self, clients: int, *, until_refused: int) -> None:
        """Until so many refusals in a row have come."""
        limits = httpx.Limits(max_connections=clients)
        async with httpx.AsyncClient(headers=self._headers, limits=limits, timeout=120, trust_env=False) as client:
            in_a_row = [0]

            async def ask() -> None:
                while in_a_row[0] < until_refused:
                    number = next(self._numbers)
                    answer = await client.post(self._urls[number % len(self._urls)], content=self._make_body(number))
                    if answer.status_code == 200:
                        self.served += 1
                        in_a_row[0] = 0
                    elif answer.status_code == 503 and answer.json()["error"]["code"] == "budget_unavailable":
                        self.put_off += 1
                        await asyncio.sleep(float(answer.headers["retry-after"]))
                    else:
                        assert answer.status_code == 429, answer.text
                        self.refused += 1
                        in_a_row[0] += 1
                        if self.first_refusal is None:
                            self.first_refusal = self.served
                        await asyncio.sleep(0.05)

            await asyncio.gather(*(ask() for _ in range(clients)))


def body_of(**fields: object) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": "Go on."}], **fields}).encode()


def tell(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")


def test_a_large_budget_is_spent_before_anything_is_refused(crowded: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A hundred times what is held at once, and answers that use their cap: 97 % are spent when the first is refused."""
    clients, cap = 8, 1_000 if FULL else 200
    hold = cap + 250
    limit = 100 * clients * hold
    project = crowded.new_project(tokens=limit)
    askers = Askers(crowded, project, lambda _: body_of(model=f"sim-length-{cap}", max_tokens=cap))
    asyncio.run(askers.run(clients, until_refused=1))
    total = spent(crowded, project, "tokens")
    each = total // askers.served
    at_first = each * (askers.first_refusal or 0)
    tell(
        capsys,
        f"large budget: {at_first / limit:.2%} spent at the first refusal, {total / limit:.2%} in the end, of {limit} tokens; "
        f"{askers.served} served, {askers.put_off} put off",
    )
    assert at_first >= 0.97 * limit
    assert total <= limit


def test_agents_spend_a_cost_budget(crowded: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Fifty streams at once with long, mostly cached prompts and caps of 32,000: 95 % of the money are spent, not locked."""
    part = 1 if FULL else 10
    limit = 25 * USD // part
    project = crowded.new_project(nanousd=limit, budget_mode="sliced")
    context = "All that was said before. " * (600_000 // part // 26)

    def make(number: int) -> bytes:
        messages = [{"role": "user", "content": f"{number}. {context}"}]
        return body_of(model=f"agent-{LENGTHS[number % 3]}", max_tokens=32_000, stream=True, messages=messages)

    askers = Askers(crowded, project, make)
    asyncio.run(askers.run(STREAMS, until_refused=3 * STREAMS))
    total = spent(crowded, project, "nanousd")
    a_slice = call("GET", f"{crowded.gateway.url}/v1/quota", bearer=project.key).json["overspend_bound"]["per_request_nanousd"]
    tell(
        capsys,
        f"agents: {total / limit:.2%} of ${limit / USD:.2f} spent by {askers.served} streams, {askers.refused} refused, "
        f"{askers.put_off} put off; bound {STREAMS} slices of ${a_slice / USD:.4f}",
    )
    assert 0.95 * limit <= total <= limit + STREAMS * a_slice


@pytest.mark.parametrize("worth", [1, 10])
def test_a_small_budget_admits_what_fits(crowded: World, worth: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Worth exactly so many requests at once: exactly so many are let in, through whichever gateway they come."""
    project = crowded.new_project(tokens=10**9)
    body = body_of(model="sim-fault-slow.500", max_tokens=40, stream=True)
    hold = len(body) + 128 + 8 + 40
    crowded.manage("PATCH", f"/projects/{project.id}", {"limits": {"monthly_tokens": worth * hold}})
    time.sleep(1)

    async def ask_all() -> list[int]:
        headers = {"authorization": f"Bearer {project.key}", "content-type": "application/json"}
        async with httpx.AsyncClient(headers=headers, timeout=120, trust_env=False) as client:

            async def ask(number: int) -> int:
                url = f"{crowded.gateways[number % GATEWAYS].url}/v1/chat/completions"
                async with client.stream("POST", url, content=body) as answer:
                    if answer.status_code == 200:
                        await asyncio.sleep(3)  # held until all have been answered
                    return answer.status_code

            return await asyncio.gather(*(ask(number) for number in range(3 * worth)))

    statuses = asyncio.run(ask_all())
    tell(capsys, f"worth {worth}: {statuses.count(200)} of {len(statuses)} let in at once")
    assert (statuses.count(200), set(statuses)) == (worth, {200, 429})
