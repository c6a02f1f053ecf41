"""What providers do wrong: the status and stable code that the client gets, the retries, and what of it is booked."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from tests.e2e.harness import Gateway, Project, World, events
from tests.e2e.running_stack import Answer, eventually

MUCH = 10_000_000
IMPATIENT = {
    "hang": {"UPSTREAM_FIRST_BYTE_SECONDS": "1"},
    "slow-first-token": {"UPSTREAM_IDLE_SECONDS": "1"},
}


@pytest.fixture
def project(world: World) -> Project:
    """With a limit that is never reached, so that an output cap is enforced and flagged rows are bounded by their holds."""
    return world.new_project(tokens=MUCH, nanousd=MUCH * 1000)


@pytest.fixture(scope="module")
def gateway_for(world: World) -> Iterator[Callable[[str], Gateway]]:
    """The gateway for a model: one whose patience is short where the model is to exhaust it, and long everywhere else."""
    made: dict[str, Gateway] = {}

    def find(model: str) -> Gateway:
        wanted = next((name for name in IMPATIENT if name in model), "")
        if wanted and wanted not in made:
            made[wanted] = world.add_gateway(**IMPATIENT[wanted])
        return made.get(wanted, world.gateway)

    yield find
    for gateway in made.values():
        world.remove_gateway(gateway)


def code_of(answer: Answer) -> str:
    assert len(answer.headers["x-request-id"]) == 36
    return answer.json["error"]["code"]


def outcomes(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(attempt["outcome"], attempt.get("usage_source", "none")) for attempt in row["attempts"]]


@pytest.mark.parametrize(
    ("model", "status", "code", "attempts"),
    [
        ("sim-fault-429.1", 503, "upstream_rate_limited", [("http_429", "none")] * 3),
        ("sim-fault-429.60", 503, "upstream_rate_limited", [("http_429", "none")]),
        ("sim-fault-500", 502, "upstream_error", [("http_500", "none")] * 3),
        ("sim-fault-big-error", 502, "upstream_error", [("http_500", "none")] * 3),
        ("sim-fault-lost", 502, "upstream_error", [("http_500", "estimated")] * 3),
        ("sim-fault-status.502", 502, "upstream_error", [("http_502", "estimated")] * 3),
        ("sim-fault-status.504", 504, "upstream_timeout", [("http_504", "estimated")] * 3),
        ("sim-fault-status.524", 502, "upstream_error", [("http_524", "estimated")]),
        ("sim-fault-status.408", 504, "upstream_timeout", [("http_408", "estimated")] * 3),
        ("sim-fault-status.520", 502, "upstream_error", [("http_520", "estimated")]),
        ("sim-fault-status.522", 502, "upstream_error", [("http_522", "none")]),
        ("sim-fault-hang", 504, "upstream_timeout", [("first_byte_timeout", "estimated")] * 3),
        ("sim-fault-cut", 502, "upstream_error", [("cut", "estimated")] * 3),
        ("sim-fault-malformed", 502, "upstream_error", [("malformed", "estimated")] * 3),
        ("sim-fault-empty", 502, "upstream_error", [("malformed", "estimated")] * 3),
        ("sim-fault-wrong-type", 502, "upstream_error", [("malformed", "estimated")] * 3),
        ("absent", 503, "upstream_unavailable", [("connect_failed", "none")] * 3),
    ],
)
def test_a_whole_answer_that_fails(
    world: World,
    project: Project,
    gateway_for: Callable[[str], Gateway],
    model: str,
    status: int,
    code: str,
    attempts: list[tuple[str, str]],
) -> None:
    """After two extra attempts: a stable code; an attempt that may have been billed is booked at its hold and flagged."""
    answer = gateway_for(model).chat(project, model=model, max_tokens=50)
    assert (answer.status, code_of(answer)) == (status, code)
    (row,) = world.compare(project, 1).values()
    assert (row["status"], row["http_status"], row["error_code"]) == ("error", status, code)
    assert outcomes(row) == attempts
    flagged = any(source == "estimated" for _, source in attempts)
    assert (row["usage_source"], row["cost_nanousd"] > 0) == (("estimated", True) if flagged else ("none", False))
    if status == 503:
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("model", "status", "code", "attempts"),
    [
        ("sim-fault-500", 502, "upstream_error", [("http_500", "none")] * 3),
        ("sim-fault-big-error", 502, "upstream_error", [("http_500", "none")] * 3),
        ("sim-fault-lost", 502, "upstream_error", [("http_500", "estimated")] * 3),
        ("sim-fault-status.502", 502, "upstream_error", [("http_502", "estimated")] * 3),
        ("sim-fault-status.504", 504, "upstream_timeout", [("http_504", "estimated")] * 3),
        ("sim-fault-status.524", 502, "upstream_error", [("http_524", "estimated")]),
        ("sim-fault-429.60", 503, "upstream_rate_limited", [("http_429", "none")]),
        ("sim-fault-hang", 504, "upstream_timeout", [("first_byte_timeout", "estimated")] * 3),
        ("sim-fault-cut.0", 502, "upstream_error", [("cut", "estimated")] * 3),
        ("sim-fault-empty", 502, "upstream_error", [("malformed", "estimated")] * 3),
        ("sim-fault-wrong-type", 502, "upstream_error", [("malformed", "estimated")] * 3),
        ("sim-fault-slow-first-token.60000", 504, "upstream_timeout", [("idle_timeout", "estimated")] * 3),
        ("absent", 503, "upstream_unavailable", [("connect_failed", "none")] * 3),
    ],
)
def test_a_stream_that_fails_before_its_first_token(
    world: World,
    project: Project,
    gateway_for: Callable[[str], Gateway],
    model: str,
    status: int,
    code: str,
    attempts: list[tuple[str, str]],
) -> None:
    """As for a whole answer: nothing has been told yet, so there is a status, and no event."""
    with gateway_for(model).stream(project, model=model, max_tokens=50) as response:
        assert response.status_code == status
        response.read()
        last = response.json()
    assert last["error"]["code"] == code
    (row,) = world.compare(project, 1).values()
    assert (row["status"], row["error_code"]) == ("error", code)
    assert outcomes(row) == attempts


@pytest.mark.parametrize(
    "model", ["sim-fault-first.2.500", "sim-fault-first.1.hang", "sim-fault-first.1.cut", "sim-fault-first.2.429.1"]
)
def test_a_passing_fault_is_retried(world: World, project: Project, model: str) -> None:
    """A fault of the first calls is not the client's concern; the attempts are in the record, each with its own fate."""
    began = time.monotonic()
    answer = world.gateway.chat(project, model=model, max_tokens=50)
    assert answer.status == 200, answer.body
    failures = int(model.split(".")[1])
    assert answer.headers["x-codexflow-attempts"] == str(failures + 1)
    if "429" in model:
        assert time.monotonic() - began >= 2
    (row,) = world.compare(project, 1).values()
    assert row["status"] == "ok"
    assert [outcome == "ok" for outcome, _ in outcomes(row)] == [False] * failures + [True]
    assert row["cost_nanousd"] == sum(attempt.get("cost_nanousd", 0) for attempt in row["attempts"])


def test_a_passing_fault_of_a_stream_is_retried(world: World, project: Project) -> None:
    """Before the first byte, a stream is tried again like a whole answer, and told exactly once."""
    with world.gateway.stream(project, model="sim-fault-first.1.500", stream_options={"include_usage": True}) as response:
        told = list(events(response))
    assert told[-1] == {"done": True}
    assert told[-2]["usage"]["total_tokens"] > 0
    (row,) = world.compare(project, 1).values()
    assert outcomes(row) == [("http_500", "none"), ("ok", "provider")]


def test_another_of_the_tier_steps_in(world: World, project: Project) -> None:
    """Of two upstreams of the deep tier one is always asked too often: the other answers at once, and never the other tier."""
    fresh = world.add_gateway()  # one that has not yet left the failing upstream out
    try:
        began = time.monotonic()
        answers = [fresh.chat(project, model="deep", max_tokens=20) for _ in range(8)]
        assert time.monotonic() - began < 50, "it waited the minute that the other had asked for"
    finally:
        world.remove_gateway(fresh)
    assert {answer.status for answer in answers} == {200}
    assert {answer.headers["x-codexflow-model"] for answer in answers} == {"sim-deep-1"}
    assert {answer.headers["x-codexflow-attempts"] for answer in answers} == {"1", "2"}
    world.compare(project, 8)


@pytest.mark.parametrize("model", ["sim-fault-missing-usage", "sim-fault-empty-usage"])
def test_usage_that_is_missing_is_booked_at_the_hold(world: World, project: Project, model: str) -> None:
    """An answer without usage, or with a block without counts, reaches the client; its row is flagged, never 0."""
    for stream in (False, True):
        if stream:
            with world.gateway.stream(project, model=model, max_tokens=40) as response:
                assert list(events(response))[-1] == {"done": True}
        else:
            assert world.gateway.chat(project, model=model, max_tokens=40).status == 200
    for row in world.compare(project, 2).values():
        assert (row["status"], row["usage_source"], row["cost_status"]) == ("ok", "estimated", "estimated")
        assert row["prompt_tokens"] + row["completion_tokens"] == row["hold_tokens"]
        assert row["cost_nanousd"] == row["hold_nanousd"] > 0


def test_usage_of_zero_is_taken_at_its_word(world: World, project: Project) -> None:
    """What the provider reports is what is booked, zero included."""
    assert world.gateway.chat(project, model="sim-fault-zero-usage").status == 200
    with world.gateway.stream(project, model="sim-fault-zero-usage") as response:
        list(events(response))
    for row in world.compare(project, 2).values():
        assert (row["usage_source"], row["prompt_tokens"], row["cost_nanousd"]) == ("provider", 0, 0)


@pytest.mark.parametrize("model", ["sim-fault-split", "sim-fault-no-done"])
def test_a_stream_in_odd_pieces(world: World, project: Project, model: str) -> None:
    """Split at every byte or without its last mark, a stream is relayed whole and booked as the provider reports it."""
    with world.gateway.stream(project, model=model, max_tokens=30) as response:
        told = list(events(response))
    text = "".join(choice["delta"].get("content") or "" for event in told for choice in event.get("choices", []))
    assert text
    assert not any(event.get("usage") for event in told)
    (row,) = world.compare(project, 1).values()
    assert (row["status"], row["usage_source"]) == ("ok", "provider")


def test_a_stream_cut_in_the_middle(world: World, project: Project) -> None:
    """The client has what was sent, then an error event that the official client raises; the row is flagged."""
    with openai.OpenAI(base_url=f"{world.gateway.url}/v1", api_key=project.key, max_retries=0) as client:
        stream = client.chat.completions.create(
            model="sim-fault-cut.5", messages=[{"role": "user", "content": "Go on."}], stream=True, max_tokens=50
        )
        heard: list[object] = []
        with pytest.raises(openai.APIError, match="broke off") as caught:
            deque(map(heard.append, stream))
    assert len(heard) == 5
    assert caught.value.code == "upstream_error"
    (row,) = world.compare(project, 1).values()
    assert (row["status"], row["error_code"], row["usage_source"]) == ("upstream_cut", "upstream_error", "estimated")


def test_a_stream_with_a_broken_event(world: World, project: Project) -> None:
    """What cannot be read is passed on as it is; the usage that follows it counts."""
    with world.gateway.stream(project, model="sim-fault-malformed", max_tokens=30) as response:
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    (row,) = world.compare(project, 1).values()
    assert (row["status"], row["usage_source"]) == ("ok", "provider")


def test_what_the_provider_refuses_is_passed_on(world: World, project: Project) -> None:
    """The provider's own 400 is the client's 400, with our request id; nothing is charged and nothing retried."""
    answer = world.gateway.chat(project, model="sim-fault-nonsense")
    assert answer.status == 400
    assert "Unknown simulated fault" in answer.json["error"]["message"]
    (row,) = world.compare(project, 1).values()
    assert (row["event_id"], row["usage_source"], len(row["attempts"])) == (answer.headers["x-request-id"], "none", 1)


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_a_content_filter_refuses_is_booked_without_its_output(
    world: World, project: Project, stream: bool
) -> None:
    """The client has the provider's 400; the prompt, which may be billed, is booked as it was held and flagged, and not tried again."""
    answer = world.gateway.chat(project, model="sim-fault-filtered", max_tokens=50, stream=stream)
    assert (answer.status, answer.json["error"]["code"]) == (400, "content_filter")
    (row,) = world.compare(project, 1).values()
    assert (row["status"], row["error_code"], row["usage_source"]) == ("error", "upstream_refused", "estimated")
    assert outcomes(row) == [("http_400", "estimated")]
    assert row["prompt_tokens"] + row["completion_tokens"] == row["hold_tokens"]
    assert row["cost_nanousd"] == row["hold_nanousd"] > 0


def test_the_provider_goes_away_and_comes_back(world: World, project: Project) -> None:
    """Killed: 503 upstream_unavailable after retries, at once for streams too; restarted: answers again, without a restart of ours."""
    assert world.gateway.chat(project).status == 200
    world.provider.kill()
    try:
        answers = [world.gateway.chat(project), world.gateway.chat(project, stream=True)]
        assert [(answer.status, code_of(answer)) for answer in answers] == [(503, "upstream_unavailable")] * 2
    finally:
        world.provider.start()
        world.wait_ready()
    eventually(lambda: world.gateway.chat(project).status == 200)
    failed = [row for row in world.wait_booked(project, 4) if row["status"] == "error"]
    assert all(outcomes(row) == [("connect_failed", "none")] * 3 for row in failed)
    world.compare(project, len(world.booked(project)))
