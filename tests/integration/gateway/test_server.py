"""The server alone, on a real socket: what it keeps of a client that asks and does not read."""

import gc
import socket
import threading
from collections.abc import Iterator
from typing import cast

import pytest
import uvloop

from gateway.inbound.hot_path import RESPOND, HotPath
from gateway.inbound.request_body import Receive, Scope, Send
from gateway.server import Server, config_for
from tests.e2e.running_stack import eventually

BODY = b"x" * 100_000
REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"
MANY = 1_000_000
MANY_ENOUGH = 200


class Answering:
    """Answers everything at once with a large body; counts."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.draining = False
        self.answered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        self.answered += 1
        scope[RESPOND](200, b"content-length: %d\r\n" % len(BODY), BODY)


@pytest.fixture
def answering() -> Answering:
    return Answering()


@pytest.fixture
def patience() -> float:
    """Seconds a client may take nothing; so long that a stalled machine is no slow reader."""
    return 60


@pytest.fixture
def port(answering: Answering, patience: float) -> Iterator[int]:
    """A server on a port of its own choice."""
    config = config_for(answering, "127.0.0.1", 0)
    server = Server(config, cast("HotPath", answering), lambda _: None, drain_seconds=1, slow_reader_seconds=patience)
    thread = threading.Thread(target=lambda: uvloop.run(server.serve()))
    thread.start()
    eventually(lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(60)


def is_reset(client: socket.socket) -> bool:
    """Whether the other side has given the connection up."""
    client.setblocking(False)
    try:
        client.send(b"x")
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return False


def ask(client: socket.socket) -> None:
    """One request and all of its answer."""
    client.sendall(REQUEST)
    got = client.recv(65536)
    whole = got.index(b"\r\n\r\n") + 4 + len(BODY)
    taken = len(got)
    while taken < whole:
        taken += len(client.recv(65536))


@pytest.mark.parametrize("patience", [1])
def test_a_client_that_pipelines_and_never_reads(port: int, answering: Answering) -> None:
    """No more is answered than the buffers hold, and no more is read; then its connection is aborted."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.settimeout(1)
        with pytest.raises((TimeoutError, ConnectionError)):
            client.sendall(REQUEST * MANY)
        eventually(lambda: is_reset(client))
    assert 0 < answering.answered < 1000


def test_a_slow_reader_gets_everything_it_asked_for(port: int, answering: Answering) -> None:
    """Held back, not lost: every pipelined request is answered once there is room again."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.settimeout(60)
        client.sendall(REQUEST * 100)
        got = 0
        while got < 100 * len(BODY):
            got += len(client.recv(65536))
        assert answering.answered == 100


def test_requests_leave_nothing_to_the_garbage_collector(port: int) -> None:
    """Whatever belongs to a request goes with it: no circle of references keeps it until a collection, which would cost every request."""
    with socket.socket() as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(60)
        gc.collect()
        gc.disable()
        try:
            for _ in range(MANY_ENOUGH):
                ask(client)
            left = gc.collect()
        finally:
            gc.enable()
    assert left < MANY_ENOUGH, left
