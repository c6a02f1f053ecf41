"""Clients that leave: the upstream is cancelled, the request settled, nothing waits for nobody."""

import http.client
import json
import socket
import time
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.harness import Project, World, events, together
from tests.e2e.running_stack import call, eventually

MUCH = 10_000_000
LONG = "Tell a long story. " * 5


@pytest.fixture
def project(world: World) -> Project:
    return world.new_project(tokens=MUCH, nanousd=MUCH * 1000)


def head(project: Project) -> str:
    """Of a request, up to its length."""
    return f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {project.key}\r\ncontent-length: "


def until_ended(world: World, request_id: str) -> dict:
    """The provider's row of a request once it has ended."""

    def ended() -> dict | None:
        rows = world.provider_rows(request_id)
        return rows[0] if rows and rows[0]["outcome"] != "running" else None

    return eventually(ended)


@pytest.mark.parametrize("content", [LONG, "x" * 200_000], ids=["small", "large"])
def test_a_stream_whose_client_leaves_is_cancelled(world: World, project: Project, content: str) -> None:
    """The upstream is told after the drain time of two seconds; what is booked is the hold, flagged."""
    with world.gateway.stream(project, content, model="sim-fault-slow.1000", max_tokens=400) as response:
        request_id = response.headers["x-request-id"]
        next(events(response))
    row = until_ended(world, request_id)
    assert row["outcome"] == "client_left"
    booked = world.compare(project, 1)[request_id]
    assert (booked["status"], booked["http_status"], booked["usage_source"]) == ("client_closed", 499, "estimated")


def test_a_short_rest_is_read_for_its_usage(world: World, project: Project) -> None:
    """When the answer ends within the drain time, the provider's usage is what is booked."""
    for asked in range(1, 6):  # a machine that stalls may finish before the client leaves, or not within two seconds
        with world.gateway.stream(project, "Short.", model="sim-fault-slow.20", max_tokens=20) as response:
            request_id = response.headers["x-request-id"]
            next(events(response))
        booked = world.compare(project, asked)[request_id]
        told = (booked["status"], booked["usage_source"])
        if told == ("client_closed", "provider"):
            break
    assert told == ("client_closed", "provider")
    assert world.provider_rows(request_id)[0]["finished"]


@pytest.mark.parametrize(
    "fields", [{"model": "sim-fault-slow.900"}, {"model": "sim-fault-slow-first-token.30000", "stream": True}]
)
def test_a_client_that_does_not_wait_for_its_answer(world: World, project: Project, fields: dict[str, Any]) -> None:
    """Noticed while the upstream works, whole answer or stream: cancelled after the drain time, settled as client_closed."""
    body = {"messages": [{"role": "user", "content": LONG}], "max_tokens": 50, **fields}
    slow = world.add_gateway(UPSTREAM_FIRST_BYTE_SECONDS="60", UPSTREAM_IDLE_SECONDS="60")
    try:
        connection = http.client.HTTPConnection("127.0.0.1", slow.port, timeout=60)
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"authorization": f"Bearer {project.key}"})
        world.wait_upstream(1, fields["model"])
        connection.close()
        (row,) = world.compare(project, 1).values()
        assert (row["status"], row["usage_source"]) == ("client_closed", "estimated")
        assert until_ended(world, row["event_id"])["outcome"] == "client_left"
        log = slow.process.log.read_text()
        assert "Traceback" not in log
        assert "Exception" not in log
    finally:
        world.remove_gateway(slow)


def test_a_reader_that_takes_nothing_is_cut(world: World, project: Project) -> None:
    """A client that stops reading cannot keep its stream, and the gateway keeps no more of it than its buffers."""
    patient = world.add_gateway(SLOW_READER_SECONDS="1")
    try:
        body = {
            "model": "sim-length-2000",
            "messages": [{"role": "user", "content": LONG}],
            "stream": True,
            "max_tokens": 2000,
            "n": 60,
        }
        sent = json.dumps(body).encode()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", patient.port))
            client.sendall(f"{head(project)}{len(sent)}\r\n\r\n".encode() + sent)
            (row,) = world.compare(project, 1).values()
        assert row["status"] == "client_closed"
        assert until_ended(world, row["event_id"])["outcome"] == "client_left"
    finally:
        world.remove_gateway(patient)


def test_a_body_that_never_comes(world: World, project: Project) -> None:
    """A request whose body stops half-way ends with 408; one whose client leaves before is nothing at all."""
    hasty = world.add_gateway(BODY_SECONDS="0.5")
    try:
        connection = http.client.HTTPConnection("127.0.0.1", hasty.port, timeout=60)
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader("authorization", f"Bearer {project.key}")
        connection.putheader("content-length", "1000")
        connection.endheaders(b'{"model": ')
        answer = connection.getresponse()
        assert answer.status == 408, answer.read()
        assert json.loads(answer.read())["error"]["code"] == "request_timeout"
        connection.close()
        with socket.create_connection(("127.0.0.1", hasty.port)) as client:
            client.sendall(f"{head(project)}99\r\n\r\n".encode())
        eventually(lambda: hasty.metric("codexflow_gateway_in_flight") == 0)
        assert "Traceback" not in hasty.process.log.read_text()
        assert world.booked(project) == []
    finally:
        world.remove_gateway(hasty)


def test_more_than_it_can_answer_at_once(world: World, project: Project) -> None:
    """Beyond its limit of requests in flight a gateway refuses at once with 503 and says when to come again."""
    small = world.add_gateway(MAX_IN_FLIGHT="3", UPSTREAM_FIRST_BYTE_SECONDS="60")
    try:
        with ExitStack() as held:  # what is admitted stays in flight until all have been answered
            slow = {"model": "sim-fault-slow.1000", "max_tokens": 400}
            answers = together(9, lambda: held.enter_context(small.stream(project, **slow)))
            assert sorted(answer.status_code for answer in answers) == [200] * 3 + [503] * 6
            for answer in answers:
                if answer.status_code == 503:
                    answer.read()
                    assert answer.json()["error"]["code"] == "overloaded"
                    assert answer.headers["retry-after"] == "1"
        eventually(lambda: small.chat(project).status == 200)
        world.compare(project, 4)
    finally:
        world.remove_gateway(small)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/estimate"])
def test_a_body_that_never_begins(world: World, project: Project, path: str) -> None:
    """A head that announces a body, and nothing after it: 408, and the place among the requests in flight is free again."""
    hasty = world.add_gateway(BODY_SECONDS="0.5")
    try:
        connection = http.client.HTTPConnection("127.0.0.1", hasty.port, timeout=60)
        connection.putrequest("POST", path)
        connection.putheader("authorization", f"Bearer {project.key}")
        connection.putheader("content-length", "10")
        connection.endheaders()
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["error"]["code"]) == (408, "request_timeout")
        connection.close()
        eventually(lambda: hasty.metric("codexflow_gateway_in_flight") == 0)
    finally:
        world.remove_gateway(hasty)


@pytest.mark.parametrize("pieces", [1, 40])
def test_a_head_without_an_end(world: World, pieces: int) -> None:
    """At once or bit by bit: 431 in our shape and the connection closed, no key needed, and no request counted."""
    filler = b"x-filler: " + b"x" * 5_000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", world.gateway.port), timeout=60) as client:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")
        if pieces == 1:
            client.sendall(filler * 14 + b"\r\n")
        else:
            for _ in range(13):
                client.sendall(filler)
                time.sleep(0.02)
            client.sendall(b"x-last: " + b"x" * 6_000)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 431 "), answer
    assert b'"request_header_fields_too_large"' in answer
    assert call("GET", f"{world.gateway.url}/healthz", x_filler="x" * 60_000).status == 200


def test_what_is_not_http(world: World) -> None:
    """400 in our shape, and the connection is closed."""
    with socket.create_connection(("127.0.0.1", world.gateway.port), timeout=60) as client:
        client.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b'"invalid_request"' in answer


def test_pipelined_requests_are_answered_in_order(world: World, project: Project) -> None:
    """Many at once, a reader that is slow but reads: every answer comes, in the order of the questions."""
    questions = [
        json.dumps({"model": "fast", "messages": [{"role": "user", "content": LONG}], "n": number % 7 + 1}).encode()
        for number in range(60)
    ]
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", world.gateway.port))
        client.settimeout(60)
        client.sendall(b"".join(f"{head(project)}{len(body)}\r\n\r\n".encode() + body for body in questions))
        time.sleep(1)
        reader = client.makefile("rb")
        for number in range(60):
            assert reader.readline() == b"HTTP/1.1 200 OK\r\n"
            choices = json.loads(reader.read(int(http.client.parse_headers(reader)["content-length"])))["choices"]
            assert len(choices) == number % 7 + 1
