"""The response cache: who gets whose answer, what it costs, and what it says of itself."""

from tests.e2e.harness import Gateway, Project, World, events
from tests.e2e.running_stack import Answer, eventually

EXACT = {"model": "fast", "temperature": 0, "max_tokens": 30}


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

    return eventually(hit, timeout=3)


def test_the_same_question_is_answered_from_the_cache(world: World) -> None:
    """The same bytes at no cost, on every gateway, and a record that says what was saved."""
    project = world.new_project(tokens=10**9)
    first = ask(world.gateway, project, "What is the answer?")
    again = eventually(lambda: _hit(world, project, "What is the answer?"), timeout=3)
    assert (again.body, state(first), state(again)) == (first.body, "miss", "hit")
    assert again.headers["x-codexflow-cost-nanousd"] == "0"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    count = len(world.wait_booked(project, 2))
    rows = world.compare(project, count)
    missed, hit = rows[first.headers["x-request-id"]], rows[again.headers["x-request-id"]]
    assert (hit["cache"], hit["cost_nanousd"], hit["prompt_tokens"], hit["attempts"]) == ("hit", 0, 0, [])
    assert hit["saved_tokens"] == missed["prompt_tokens"] + missed["completion_tokens"]
    assert hit["saved_nanousd"] == missed["cost_nanousd"] > 0
    today = eventually(lambda: world.report(f"/projects/{project.id}/usage/daily")["data"])[0]
    assert today["cache_hits"] == sum(row["cache"] == "hit" for row in rows.values())


def _hit(world: World, project: Project, content: str) -> Answer | None:
    answer = ask(world.gateways[1], project, content)
    return answer if state(answer) == "hit" else None


def test_tenants_never_share(world: World) -> None:
    """Another project asks the same and is answered anew."""
    one, other = world.new_project(), world.new_project()
    remembered(world.gateway, one, "Our secret question")
    assert state(ask(world.gateway, other, "Our secret question")) == "miss"


def test_keys_share_unless_the_project_separates_them(world: World) -> None:
    """Scope `project`: one cache for all its keys; scope `key`: one each; `off`: none."""
    together = world.new_project()
    remembered(world.gateway, together, "Shared")
    assert state(ask(world.gateway, world.new_key(together.id), "Shared")) == "hit"
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
    assert state(ask(world.gateway, project, "Base", user="somebody")) == "hit"


def test_streams_are_remembered_when_complete(world: World) -> None:
    """A finished stream is told again word for word; a cut one is not remembered; a whole answer is never served as a stream."""
    project = world.new_project()

    def tell(**fields: object) -> tuple[str, list[object]]:
        with world.gateway.stream(project, "Tell me", **{**EXACT, **fields}) as response:
            return response.headers["x-codexflow-cache"], list(events(response))

    first_state, first = tell()
    assert first_state == "miss"
    eventually(lambda: tell() == ("hit", first), timeout=3)
    assert tell(stream_options={"include_usage": True})[0] == "miss"
    assert state(ask(world.gateway, project, "Tell me")) == "miss"
    cut = {"model": "sim-fault-cut.3"}
    assert [tell(**cut)[0] for _ in range(2)] == ["miss"] * 2


def test_a_hit_is_served_on_a_spent_budget(world: World) -> None:
    """What costs nothing needs no budget."""
    project = world.new_project(tokens=10**9)
    remembered(world.gateway, project, "Known")
    world.manage("PATCH", f"/projects/{project.id}", {"limits": {"monthly_tokens": 1}})
    eventually(lambda: world.gateway.chat(project, "New").status == 429, timeout=3)
    assert state(ask(world.gateway, project, "Known")) == "hit"
