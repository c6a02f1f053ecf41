"""The response cache: who gets whose answer, what it costs, and what it says of itself."""

from collections.abc import Callable

import pytest

from tests.e2e.harness import Gateway, Project, World, events
from tests.e2e.running_stack import Answer, eventually

EXACT = {"model": "fast", "temperature": 0, "max_tokens": 30}
MOST_TRIES = 10


def ask(gateway: Gateway, project: Project, content: str, **fields: object) -> Answer:
    answer = gateway.chat(project, content, **{**EXACT, **fields})
    assert answer.status == 200, answer.body
    return answer


def state(answer: Answer) -> str:
    return answer.headers["x-codexflow-cache"]


def remembered(gateway: Gateway, project: Project, content: str, **fields: object) -> Answer:
    """Ask until the answer comes from the cache: storing happens beside the answer."""
    assert state(ask(gateway, project, content, **fields)) == "miss"

    def hit() -> Answer | None:
        answer = ask(gateway, project, content, **fields)
        return answer if state(answer) == "hit" else None

    return eventually(hit)


def hit_at_once(ask_once: Callable[[str], Answer]) -> str:
    """The first of several questions whose only ask was a hit: a cache that does not answer within 20 ms is left out for a while."""
    for number in range(MOST_TRIES):
        question = f"Question number {number}"
        if state(ask_once(question)) == "hit":
            return question
    pytest.fail(f"none of {MOST_TRIES} was answered from the cache")


def test_the_same_question_is_answered_from_the_cache(world: World) -> None:
    """The same bytes at no cost, on every gateway, and a record that says what was saved."""
    project = world.new_project(tokens=10**9)
    asked = 0
    for number in range(MOST_TRIES):  # where the cache was too slow to store it, the other gateway stores an answer of its own
        question = f"What is the answer to question {number}?"
        first, answers = ask(world.gateway, project, question), []

        def is_hit(question: str = question, answers: list[Answer] = answers) -> bool:
            answers.append(ask(world.gateways[1], project, question))
            return state(answers[-1]) == "hit"

        eventually(is_hit)
        asked += 1 + len(answers)
        if (again := answers[-1]).body == first.body:
            break
    assert (again.body, state(first), state(again)) == (first.body, "miss", "hit")
    assert again.headers["x-codexflow-cost-nanousd"] == "0"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    rows = world.compare(project, asked)
    missed, hit = rows[first.headers["x-request-id"]], rows[again.headers["x-request-id"]]
    assert (hit["cache"], hit["cost_nanousd"], hit["prompt_tokens"], hit["attempts"]) == ("hit", 0, 0, [])
    assert hit["saved_tokens"] == missed["prompt_tokens"] + missed["completion_tokens"]
    assert hit["saved_nanousd"] == missed["cost_nanousd"] > 0
    today = eventually(lambda: world.report(f"/projects/{project.id}/usage/daily")["data"])[0]
    assert today["cache_hits"] == sum(row["cache"] == "hit" for row in rows.values())


def test_tenants_never_share(world: World) -> None:
    """Another project asks the same and is answered anew."""
    one, other = world.new_project(), world.new_project()
    remembered(world.gateway, one, "Our secret question")
    assert state(ask(world.gateway, other, "Our secret question")) == "miss"


def test_keys_share_unless_the_project_separates_them(world: World) -> None:
    """Scope `project`: one cache for all its keys; scope `key`: one each; `off`: none."""
    together = world.new_project()
    other = world.new_key(together.id)
    hit_at_once(lambda question: remembered(world.gateway, together, question) and ask(world.gateway, other, question))
    apart = world.new_project(cache={"scope": "key"})
    remembered(world.gateway, apart, "Apart")
    assert state(ask(world.gateway, world.new_key(apart.id), "Apart")) == "miss"
    never = world.new_project(cache={"scope": "off"})
    assert [state(ask(world.gateway, never, "Never")) for _ in range(2)] == ["bypass"] * 2


def test_what_is_not_deterministic_is_not_remembered(world: World) -> None:
    """Without temperature 0, with several choices, or when the client says no-cache."""
    project = world.new_project()
    for fields in ({"temperature": 0.5}, {"temperature": None}, {"n": 2}):
        assert [state(ask(world.gateway, project, "Again", **fields)) for _ in range(2)] == ["bypass"] * 2
    remembered(world.gateway, project, "Fresh")
    fresh = world.gateway.chat(project, "Fresh", headers={"cache_control": "no-cache"}, **EXACT)
    assert (fresh.status, state(fresh)) == (200, "bypass")


def test_everything_that_changes_the_answer_counts(world: World) -> None:
    """Another model, prompt, cap, seed or shape is another question; another end user or field order is not."""
    project = world.new_project()
    remembered(world.gateway, project, "Base")
    for fields in ({"model": "deep"}, {"max_tokens": 31}, {"seed": 1}, {"stop": ["x"]}, {"response_format": {"type": "text"}}):
        assert state(ask(world.gateway, project, "Base", **fields)) == "miss", fields
    assert state(ask(world.gateway, project, "Base!")) == "miss"
    hit_at_once(
        lambda question: remembered(world.gateway, project, question) and ask(world.gateway, project, question, user="somebody")
    )


def test_streams_are_remembered_when_complete(world: World) -> None:
    """A finished stream is told again word for word; a cut one is not remembered; a whole answer is never served as a stream."""
    project = world.new_project()

    def tell(question: str, **fields: object) -> tuple[str, list[object]]:
        with world.gateway.stream(project, question, **{**EXACT, **fields}) as response:
            return response.headers["x-codexflow-cache"], list(events(response))

    for number in range(MOST_TRIES):  # where the cache was too slow to store it, a later answer is what is told again
        question = f"Tell me story {number}"
        first_state, first = tell(question)
        assert first_state == "miss"
        if eventually(lambda question=question: (told := tell(question))[0] == "hit" and told)[1] == first:
            break
    else:
        pytest.fail("no stream was told again word for word")
    assert tell(question, stream_options={"include_usage": True})[0] == "miss"
    assert state(ask(world.gateway, project, question)) == "miss"
    cut = {"model": "sim-fault-cut.3"}
    assert [tell("Cut short", **cut)[0] for _ in range(2)] == ["miss"] * 2


def test_a_hit_is_served_on_a_spent_budget(world: World) -> None:
    """What costs nothing needs no budget."""
    project = world.new_project(tokens=10**9)
    remembered(world.gateway, project, "Known")
    world.manage("PATCH", f"/projects/{project.id}", {"limits": {"monthly_tokens": 1}})
    eventually(lambda: world.gateway.chat(project, "New").status == 429)
    again = eventually(lambda: (answer := world.gateway.chat(project, "Known", **EXACT)).status == 200 and answer)
    assert state(again) == "hit"
