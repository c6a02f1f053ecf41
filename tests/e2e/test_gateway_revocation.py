"""Doors that close: a revoked, suspended or expired key, on every gateway and in the middle of a stream."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.e2e.harness import Gateway, Project, World, events
from tests.e2e.running_stack import eventually

SLOW = {"model": "sim-fault-slow.50", "max_tokens": 100}
PROMISE_SECONDS = 1.0


def follow(gateway: Gateway, project: Project) -> tuple[float, list[dict[str, Any]]]:
    """Read a slow stream to its end: when it ended and what it told."""
    with gateway.stream(project, "A story, please.", **SLOW) as response:
        told = list(events(response))
    return time.monotonic(), told


def streams_while(world: World, project: Project, act: Any) -> tuple[float, list[tuple[float, list[dict[str, Any]]]]]:
    """A stream on each gateway, and an act once both run: when it was done, and what became of them."""
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(follow, gateway, project) for gateway in world.gateways[:2]]
        for gateway in world.gateways[:2]:
            eventually(lambda gateway=gateway: gateway.metric("codexflow_gateway_in_flight") >= 1)
        time.sleep(0.3)
        began = time.monotonic()
        act()
        return began, [future.result() for future in running]


def assert_closed(world: World, project: Project, began: float) -> None:
    """Every gateway refuses the key, within the promise."""
    for gateway in world.gateways[:2]:
        eventually(lambda gateway=gateway: gateway.chat(project).status == 401, timeout=3)
    assert time.monotonic() - began < PROMISE_SECONDS + 0.5


def test_a_revoked_key_is_refused_everywhere_and_its_streams_are_cut(world: World) -> None:
    """Within a second on both gateways; a running stream ends with an error event and is settled, flagged."""
    project = world.new_project()
    answers: list[Any] = []

    def revoke() -> None:
        answers.append(world.manage("DELETE", f"/projects/{project.id}/keys/{project.key_id}"))
        for gateway in world.gateways[:2]:
            assert gateway.chat(project).status == 401

    began, ended = streams_while(world, project, revoke)
    for at, told in ended:
        assert at - began < PROMISE_SECONDS + 0.5
        assert told[-1]["error"]["code"] == "invalid_api_key"
    effective = answers[0]["effective"]
    assert effective["acknowledged"] >= 2  # one that was stopped a moment ago still counts as a gateway
    for row in world.compare(project, 2).values():
        assert (row["status"], row["usage_source"], row["error_code"]) == ("upstream_cut", "estimated", "invalid_api_key")


def test_streams_may_finish_where_the_project_says_so(world: World) -> None:
    """The key is refused at once, what runs goes on to its proper end."""
    project = world.new_project(revoked_streams="finish")
    _, ended = streams_while(world, project, lambda: world.manage("DELETE", f"/projects/{project.id}/keys/{project.key_id}"))
    assert [told[-1] for _, told in ended] == [{"done": True}] * 2
    assert world.gateway.chat(project).status == 401
    assert {row["status"] for row in world.compare(project, 2).values()} == {"ok"}


def test_a_suspended_project_closes_and_opens(world: World) -> None:
    """All its keys are refused and its streams cut; taken up again, they work as before."""
    project = world.new_project()
    began, ended = streams_while(
        world, project, lambda: world.manage("PATCH", f"/projects/{project.id}", {"status": "suspended"})
    )
    assert all("error" in told[-1] for _, told in ended)
    assert_closed(world, project, began + 1)
    world.manage("PATCH", f"/projects/{project.id}", {"status": "active"})
    for gateway in world.gateways[:2]:
        eventually(lambda gateway=gateway: gateway.chat(project).status == 200, timeout=3)
    world.compare(project, 4)


def test_a_suspended_organization_closes(world: World) -> None:
    """Every key of every project of it is refused."""
    organization = world.manage("POST", "/organizations", {"name": "Short-lived"})["id"]
    project = world.new_project(organization=organization)
    assert world.gateway.chat(project).status == 200
    began = time.monotonic()
    world.manage("PATCH", f"/organizations/{organization}", {"status": "suspended"})
    assert_closed(world, project, began)


def test_a_key_expires_by_the_clock(world: World) -> None:
    """At its hour, without anybody saying so; the project's other key goes on."""
    project = world.new_project()
    expires = datetime.now(UTC) + timedelta(seconds=2)
    passing = world.new_key(project.id, expires_at=expires.isoformat())
    eventually(lambda: world.gateway.chat(passing).status == 401, timeout=5)
    assert datetime.now(UTC) >= expires
    assert world.gateway.chat(project).status == 200


def test_revoking_one_key_leaves_the_others(world: World) -> None:
    """Streams and requests of another key of the same project are not touched."""
    project = world.new_project()
    other = world.new_key(project.id)
    _, ended = streams_while(world, other, lambda: world.manage("DELETE", f"/projects/{project.id}/keys/{project.key_id}"))
    assert [told[-1] for _, told in ended] == [{"done": True}] * 2
    assert world.gateway.chat(project).status == 401
    assert world.gateway.chat(other).status == 200


def test_a_key_revoked_while_its_request_arrives(world: World) -> None:
    """Known when the head came, revoked before the body was there: 401, and nothing goes to a provider."""
    project = world.new_project()
    body = json.dumps({"model": "fast", "messages": [{"role": "user", "content": "Too late."}]}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", world.gateway.port, timeout=10)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("authorization", f"Bearer {project.key}")
    connection.putheader("content-length", str(len(body)))
    connection.endheaders(body[:20])
    eventually(lambda: world.gateway.metric("codexflow_gateway_in_flight") >= 1)
    world.manage("DELETE", f"/projects/{project.id}/keys/{project.key_id}")
    eventually(lambda: world.gateway.chat(project).status == 401)
    connection.send(body[20:])
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["error"]["code"]) == (401, "invalid_api_key")
    connection.close()
    assert world.booked(project) == []


def test_a_key_revoked_before_the_first_token(world: World) -> None:
    """A stream that the upstream has not begun is refused when it begins; where the project lets streams finish it goes on."""
    cut, finish = world.new_project(), world.new_project(revoked_streams="finish")
    slow = {"model": "sim-fault-slow-first-token.1500", "stream": True, "max_tokens": 5}
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(world.gateway.chat, project, **slow) for project in (cut, finish)]
        eventually(lambda: world.gateway.metric("codexflow_gateway_in_flight") >= 2)
        time.sleep(0.3)
        for project in (cut, finish):
            world.manage("DELETE", f"/projects/{project.id}/keys/{project.key_id}")
        refused, told = [future.result() for future in asked]
    assert (refused.status, refused.json["error"]["code"]) == (401, "invalid_api_key")
    assert (told.status, b"[DONE]" in told.body) == (200, True)
    (row,) = world.compare(cut, 1).values()
    assert (row["status"], row["usage_source"], row["error_code"]) == ("upstream_cut", "estimated", "invalid_api_key")
    assert {row["status"] for row in world.compare(finish, 1).values()} == {"ok"}


def test_a_key_revoked_before_a_retry(world: World) -> None:
    """While the gateway waits to ask again: it does not, whatever the project says of streams."""
    project = world.new_project(revoked_streams="finish")
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(world.gateway.chat, project, model="sim-fault-first.2.429.2", max_tokens=5)
        eventually(lambda: world.gateway.metric("codexflow_gateway_in_flight") >= 1)
        world.manage("DELETE", f"/projects/{project.id}/keys/{project.key_id}")
        assert asked.result().status == 401
    (row,) = world.compare(project, 1).values()
    assert (row["status"], row["error_code"], len(row["attempts"])) == ("error", "invalid_api_key", 1)
