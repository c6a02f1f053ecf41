"""Doors that close: a revoked, suspended or expired key, on every gateway and in the middle of a stream."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.e2e.harness import Project, World
from tests.e2e.running_stack import eventually
from tests.e2e.streams import ENDLESS, SLOW, streams_while


def assert_closed(world: World, project: Project) -> None:
    """Every gateway comes to refuse the key."""
    for gateway in world.gateways[:2]:
        eventually(lambda gateway=gateway: gateway.chat(project).status == 401)


def revoke_under_streams(world: World) -> bool:
    """Whether both gateways had confirmed it when accounts answered; then both must have refused the key from that moment on."""
    project = world.new_project()
    answers: list[Any] = []

    def revoke() -> None:
        answers.append(world.manage("DELETE", f"/projects/{project.id}/keys/{project.key_id}")["effective"])
        if answers[0]["acknowledged"] >= 2:  # one that was stopped a moment ago still counts as a gateway
            assert [gateway.chat(project).status for gateway in world.gateways[:2]] == [401, 401]
        assert_closed(world, project)

    for told in streams_while(world, project, ENDLESS, revoke):
        assert told[-1]["error"]["code"] == "invalid_api_key"
    for row in world.compare(project, 2).values():
        assert (row["status"], row["usage_source"], row["error_code"]) == ("upstream_cut", "estimated", "invalid_api_key")
    return answers[0]["acknowledged"] >= 2


def test_a_revoked_key_is_refused_everywhere_and_its_streams_are_cut(world: World) -> None:
    """On both gateways, confirmed within the second that accounts waits; a running stream ends with an error event, flagged."""
    # A machine that stalls may make some confirmations late, not all.
    assert any(revoke_under_streams(world) for _ in range(5))


def test_streams_may_finish_where_the_project_says_so(world: World) -> None:
    """The key is refused at once, what runs goes on to its proper end."""
    project = world.new_project(revoked_streams="finish")
    ended = streams_while(world, project, SLOW, lambda: world.manage("DELETE", f"/projects/{project.id}/keys/{project.key_id}"))
    assert [told[-1] for told in ended] == [{"done": True}] * 2
    assert_closed(world, project)
    assert {row["status"] for row in world.compare(project, 2).values()} == {"ok"}


def test_a_suspended_project_closes_and_opens(world: World) -> None:
    """All its keys are refused and its streams cut; taken up again, they work as before."""
    project = world.new_project()
    ended = streams_while(
        world, project, ENDLESS, lambda: world.manage("PATCH", f"/projects/{project.id}", {"status": "suspended"})
    )
    assert all("error" in told[-1] for told in ended)
    assert_closed(world, project)
    world.manage("PATCH", f"/projects/{project.id}", {"status": "active"})
    for gateway in world.gateways[:2]:
        eventually(lambda gateway=gateway: gateway.chat(project).status == 200)
    world.compare(project, 4)


def test_a_suspended_organization_closes(world: World) -> None:
    """Every key of every project of it is refused."""
    organization = world.manage("POST", "/organizations", {"name": "Short-lived"})["id"]
    project = world.new_project(organization=organization)
    assert world.gateway.chat(project).status == 200
    world.manage("PATCH", f"/organizations/{organization}", {"status": "suspended"})
    assert_closed(world, project)


def test_a_key_expires_by_the_clock(world: World) -> None:
    """At its hour, without anybody saying so; the project's other key goes on."""
    project = world.new_project()
    expires = datetime.now(UTC) + timedelta(seconds=6)  # time enough for the gateways to hear of it
    passing = world.new_key(project.id, expires_at=expires.isoformat())
    eventually(lambda: world.gateway.chat(passing).status == 401)
    assert datetime.now(UTC) >= expires
    assert world.gateway.chat(project).status == 200


def test_revoking_one_key_leaves_the_others(world: World) -> None:
    """Streams and requests of another key of the same project are not touched."""
    project = world.new_project()
    other = world.new_key(project.id)
    ended = streams_while(world, other, SLOW, lambda: world.manage("DELETE", f"/projects/{project.id}/keys/{project.key_id}"))
    assert [told[-1] for told in ended] == [{"done": True}] * 2
    assert_closed(world, project)
    assert world.gateway.chat(other).status == 200


def test_a_key_revoked_while_its_request_arrives(world: World) -> None:
    """Known when the head came, revoked before the body was there: 401, and nothing goes to a provider."""
    project = world.new_project()
    body = json.dumps({"model": "fast", "messages": [{"role": "user", "content": "Too late."}]}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", world.gateway.port, timeout=60)
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
    slow = {"model": "sim-fault-slow-first-token.6000", "stream": True, "max_tokens": 5}
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(world.gateway.chat, project, **slow) for project in (cut, finish)]
        world.wait_upstream(2, slow["model"])
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
        model = "sim-fault-first.2.429.5"
        asked = threads.submit(world.gateway.chat, project, model=model, max_tokens=5)
        world.wait_upstream(1, model, outcome="refused")
        world.manage("DELETE", f"/projects/{project.id}/keys/{project.key_id}")
        assert asked.result().status == 401
    (row,) = world.compare(project, 1).values()
    assert (row["status"], row["error_code"], len(row["attempts"])) == ("error", "invalid_api_key", 1)
