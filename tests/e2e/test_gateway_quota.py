"""Budgets: what is admitted is covered, what is refused says why, and spending never passes a limit, however many ask at once."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.harness import Gateway, Project, World, together
from tests.e2e.running_stack import Answer, call, eventually

SLOW = {"model": "sim-fault-slow.15", "max_tokens": 40}
CAPPED = {"model": "sim-fast-1", "max_tokens": 40}
HELD = {"model": "sim-fault-slow.1000", "max_tokens": 40}
"""A stream that lasts until all who ask at once have been answered."""

NAMED_PDF = {"url": "data:image/png;base64,JVBERi0=", "format": "application/pdf"}


@pytest.fixture(scope="module")
def alone(world: World) -> Any:
    """A third gateway that is the only one to be asked, so that nobody else holds a part of its budgets."""
    gateway = world.add_gateway(UPSTREAM_FIRST_BYTE_SECONDS="30")
    yield gateway
    world.remove_gateway(gateway)


@pytest.fixture(scope="module")
def hold(world: World, alone: Gateway) -> dict[str, int]:
    """What one of the requests above reserves, in tokens and in nano-USD."""
    project = world.new_project(tokens=10**9, nanousd=10**12)
    assert alone.chat(project, **SLOW).status == 200
    (row,) = world.compare(project, 1).values()
    return {"tokens": row["hold_tokens"], "nanousd": row["hold_nanousd"]}


@pytest.fixture(scope="module")
def stream_hold(world: World, alone: Gateway) -> dict[str, int]:
    """What one of the streams above reserves, in tokens and in nano-USD."""
    project = world.new_project(tokens=10**9, nanousd=10**12)
    with alone.stream(project, **HELD) as response:
        assert response.status_code == 200
    (row,) = world.compare(project, 1).values()
    return {"tokens": row["hold_tokens"], "nanousd": row["hold_nanousd"]}


def spent(world: World, project: Project) -> dict[str, int]:
    rows = world.booked(project)
    return {
        "tokens": sum(row["prompt_tokens"] + row["completion_tokens"] for row in rows),
        "nanousd": sum(row["cost_nanousd"] for row in rows),
    }


def assert_exceeded(answer: Answer, unit: str, limit: int) -> dict[str, Any]:
    """The refusal that a client can act on."""
    assert answer.status == 429, answer.body
    error = answer.json["error"]
    assert (error["code"], error["type"]) == ("insufficient_quota", "insufficient_quota")
    assert (error["unit"], error["limit"], error["limit_source"]) == (
        unit,
        limit,
        f"project.monthly_{'tokens' if unit == 'tokens' else 'cost'}",
    )
    assert error["needed"] > 0
    assert error["used"] >= 0
    assert error["held"] >= 0
    if error["needed"] > limit:
        assert (error["resets_at"], answer.headers.get("retry-after"), answer.headers["x-should-retry"]) == (None, None, "false")
    else:
        assert datetime.fromisoformat(error["resets_at"]) > datetime.now(UTC)
        assert int(answer.headers["retry-after"]) >= 1
    return error


@pytest.mark.parametrize("unit", ["tokens", "nanousd"])
def test_no_more_at_once_than_the_budget_covers(world: World, alone: Gateway, stream_hold: dict[str, int], unit: str) -> None:
    """Of a dozen requests at once, the budget's worth is admitted and the others are refused; the ledger stays below the limit."""
    limit = 5 * stream_hold[unit] + stream_hold[unit] // 2
    project = world.new_project(**{unit: limit})
    with ExitStack() as admitted:  # none ends, and so gives back what it does not need, before all have been answered
        answers = together(12, lambda: admitted.enter_context(alone.stream(project, **HELD)))
        refused = [Answer(one.status_code, dict(one.headers), one.read()) for one in answers if one.status_code != 200]
    assert len(refused) == 7
    for answer in refused:
        assert_exceeded(answer, unit, limit)
    world.compare(project, 12)
    assert spent(world, project)[unit] <= limit


@pytest.mark.parametrize("unit", ["tokens", "nanousd"])
def test_one_after_the_other_until_it_is_spent(world: World, alone: Gateway, hold: dict[str, int], unit: str) -> None:
    """What a request did not need is there for the next; at the end less than one hold is left, and never less than nothing. Whoever
    may read the usage is told.
    """
    limit = 3 * hold[unit]
    project = world.new_project(**{unit: limit})
    answers = [alone.chat(project, **CAPPED)]
    while answers[-1].status == 200:
        answers.append(alone.chat(project, **CAPPED))
    error = assert_exceeded(answers[-1], unit, limit)
    world.compare(project, len(answers))
    total = spent(world, project)[unit]
    assert len(answers) > 4
    assert limit - error["needed"] < total <= limit
    (alert,) = eventually(lambda: world.report(f"/projects/{project.id}/alerts?kind=exhausted")["data"])
    assert (alert["unit"], alert["limit"], alert["used"], alert["percent"]) == (unit, limit, total, total * 100 // limit)
    shown = call("GET", f"{alone.url}/v1/quota", bearer=project.key).json["data"][0]
    assert shown[f"limit_{unit}"] == limit


def test_two_gateways_share_one_small_budget(world: World, hold: dict[str, int]) -> None:
    """Asked through both at once and until both refuse, the budget is not overspent by a token."""
    limit = 6 * hold["tokens"]
    project = world.new_project(tokens=limit)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda i: world.gateways[i % 2].chat(project, **SLOW), range(32)))
    assert {answer.status for answer in answers} == {200, 429}
    world.compare(project, 32)
    assert spent(world, project)["tokens"] <= limit


def test_a_raised_limit_opens_and_a_lowered_one_closes(world: World, hold: dict[str, int]) -> None:
    """On every gateway, in both directions; no limit at all opens too."""
    project = world.new_project(tokens=1)

    def change(limit: int | None, wanted: int) -> None:
        world.manage("PATCH", f"/projects/{project.id}", {"limits": {"monthly_tokens": limit}})
        began = time.monotonic()
        for gateway in world.gateways[:2]:
            answers = [gateway.chat(project, **CAPPED)]
            while answers[-1].status != wanted and time.monotonic() < began + 60:
                answers.append(gateway.chat(project, **CAPPED))
            assert answers[-1].status == wanted, [(answer.status, answer.body[:200]) for answer in answers]

    for gateway in world.gateways[:2]:
        assert_exceeded(gateway.chat(project, **CAPPED), "tokens", 1)
    change(100 * hold["tokens"], 200)
    change(1, 429)
    change(None, 200)
    change(2, 429)


def test_without_a_limit_nobody_is_asked(world: World, alone: Gateway) -> None:
    """An unlimited project needs no grant and gets none; its spending is in the ledger all the same."""
    project = world.new_project()
    assert {answer.status for answer in together(8, lambda: alone.chat(project, **CAPPED))} == {200}
    world.compare(project, 8)
    grants = f"SELECT count(*) FROM usage.grants WHERE scope_id = '{project.id}'"  # noqa: S608 - our own id
    assert world.postgres.run_sql(grants, database="codexflow").strip() == "0"


def test_a_model_without_a_price(world: World) -> None:
    """Refused under a cost limit, which could not hold; elsewhere answered and flagged, never silently 0."""
    refused = world.gateway.chat(world.new_project(nanousd=10**9), model="unpriced")
    assert (refused.status, refused.json["error"]["code"], refused.json["error"]["param"]) == (400, "model_not_priced", "model")
    project = world.new_project(tokens=10**9)
    assert world.gateway.chat(project, model="unpriced").status == 200
    (row,) = world.compare(project, 1).values()
    assert (row["cost_status"], row["usage_source"]) == ("unpriced", "provider")


@pytest.mark.parametrize(
    "field",
    [
        {"web_search_options": {}},
        {"previous_response_id": "resp_1"},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "file_search"}]},
        {"tools": [{"type": "web_search_20250305", "function": {"name": "web_search"}}]},
        {"functions": [{"googleSearch": {}}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": NAMED_PDF}]}]},
        {
            "messages": [
                {"role": "assistant", "content": "a", "images": ["https://x.example/i.png"]},
                {"role": "user", "content": "b"},
            ]
        },
        {"modalities": ["text", "audio"]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/i.png"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0"}}]}
            ]
        },
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}]}]},
    ],
)
def test_inputs_that_the_body_does_not_show(world: World, field: dict[str, Any]) -> None:
    """A strict budget refuses what it cannot bound; a project without a limit lets it pass."""
    limited, unlimited = _two_projects(world)
    refused = world.gateway.chat(limited, **field)
    assert (refused.status, refused.json["error"]["code"]) == (400, "unbounded_input"), refused.body
    assert refused.json["error"]["param"]
    passed = world.gateway.chat(unlimited, **field)
    assert passed.status == 200 or passed.json["error"]["code"] != "unbounded_input"


def test_the_larger_of_two_output_caps_is_held(world: World) -> None:
    """Upstreams differ in which of the two caps they obey: the hold covers either."""
    project = world.new_project(tokens=2000)
    answer = world.gateway.chat(project, max_completion_tokens=1, max_tokens=100_000)
    assert_exceeded(answer, "tokens", 2000)


def _two_projects(world: World, made: list[tuple[Project, Project]] = []) -> tuple[Project, Project]:  # noqa: B006 - made once for the module
    if not made:
        made.append((world.new_project(tokens=10**9), world.new_project()))
    return made[0]
