"""Clients that read slower than their answer is made, in sliced mode: what is made and not read must not pass what is held."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.domain.learned_usage import LEAST_OUTPUTS
from tests.e2e.harness import Gateway, Project, World
from tests.e2e.running_stack import call, eventually

SLICE = 1000
ASKED = {"model": "sim-length-20000", "messages": [{"role": "user", "content": "At length."}], "stream": True}


@contextmanager
def unread(gateway: Gateway, project: Project, cap: int) -> Iterator[socket.socket]:
    """A stream that is asked for and not read, by a client that keeps next to nothing on its own side."""
    body = json.dumps(ASKED | {"max_tokens": cap}).encode()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(60)
        client.connect(("127.0.0.1", gateway.port))
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {project.key}\r\nconnection: close\r\n"
        client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        yield client


def rest(client: socket.socket) -> bytes:
    """All that is to be read, fast now."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
    return b"".join(iter(lambda: client.recv(65536), b""))


def test_what_a_slow_reader_leaves_unread_is_held_whole(world: World) -> None:
    """Once it is far behind, its stream holds all that may still come; nothing is lost when it reads on."""
    project = world.new_project(tokens=1_000_000, budget_mode="sliced")

    def held() -> int:
        quota = call("GET", f"{world.gateway.url}/v1/quota", bearer=project.key).json
        return quota["data"][0]["this_gateway"]["held_tokens"]

    with unread(world.gateway, project, 20_000) as client:
        eventually(lambda: held() > 20_000)
        heard = rest(client)
    assert b"data: [DONE]" in heard
    (row,) = world.compare(project, 1).values()
    assert (row["status"], row["usage_source"], row["completion_tokens"]) == ("ok", "provider", 20_000)


def test_a_stream_that_is_not_read_ends_where_the_budget_does(world: World) -> None:
    """What may still come is more than there is: the stream ends before the reader is given up, no more than a slice beyond it."""
    project = world.new_project(tokens=15_000, budget_mode="sliced")
    with unread(world.gateway, project, 20_000) as client:
        (row,) = world.compare(project, 1).values()
        heard = rest(client)
    assert row["status"] == "upstream_cut"
    assert heard.count(b'"finish_reason":"length"') == 1
    assert b'"limit_source":"project.monthly_tokens"' in heard
    (seen,) = world.provider_rows(row["event_id"])
    made = seen["prompt_tokens"] + seen["generated"]
    assert made <= 15_000 + SLICE
    assert made <= row["prompt_tokens"] + row["completion_tokens"] + SLICE


def test_what_a_given_up_reader_did_not_take_is_counted(world: World) -> None:
    """In a mode whose holds do not grow: what has come is read to its end and booked, though nobody takes it."""
    project = world.new_project(tokens=1_000_000, budget_mode="expected")
    hasty = world.add_gateway(SLOW_READER_SECONDS="4")
    try:
        for _ in range(LEAST_OUTPUTS):
            assert hasty.chat(project, model=ASKED["model"], max_tokens=20).status == 200
        with unread(hasty, project, 20_000):
            row = max(world.compare(project, LEAST_OUTPUTS + 1).values(), key=lambda row: row["completion_tokens"])
    finally:
        world.remove_gateway(hasty)
    assert row["hold_tokens"] < 1_000
    assert row["status"] == "client_closed"
    (seen,) = world.provider_rows(row["event_id"])
    assert seen["generated"] > 10 * SLICE
    assert row["completion_tokens"] + SLICE >= seen["generated"]
