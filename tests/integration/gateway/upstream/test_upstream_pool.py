"""Connections are reused, bounded, never trusted blindly, and never outlive their rest."""

import asyncio
import socket
import time

import pytest
from scripted_upstream import CHUNKED, OK, PATIENT, SEEN_SECONDS, Wire, always, eventually, let_the_loop_look, once
from tests.undisturbed import undisturbed

from gateway.outbound.upstream.client import Timeouts
from gateway.outbound.upstream.errors import FailureKind, UpstreamError

BODY = b'{"model":"m"}'


async def test_connection_is_reused(client, serve):
    """One request after the other travels on one connection."""
    upstream = await serve(always(OK))
    for _ in range(5):
        await client.send(upstream.target(), [], BODY, PATIENT)
    assert upstream.connections == 1
    assert (client.stats().created, client.stats().reused) == (1, 4)


async def test_connection_is_reused_after_a_stream(client, serve):
    """A stream read to its end returns its connection."""
    upstream = await serve(always(CHUNKED + b"2\r\nab\r\n0\r\n\r\n"))
    for _ in range(3):
        answer = await client.stream(upstream.target(), [], BODY, PATIENT)
        assert await answer.read() == b"ab"
        answer.close()
    assert upstream.connections == 1


async def test_parallel_exchanges_over_a_small_pool(make_client, serve):
    """200 requests at once pass through 16 connections, each with its own answer."""

    async def script(wire: Wire) -> None:
        while True:
            request = await wire.request()
            await asyncio.sleep(0.002)
            await wire.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(request.body), request.body))

    upstream = await serve(script)
    client = make_client(connections=16)
    target = upstream.target()
    answers = await asyncio.gather(*(client.send(target, [], b"n-%d" % n, PATIENT) for n in range(200)))
    assert [answer.body for answer in answers] == [b"n-%d" % n for n in range(200)]
    assert upstream.open_at_most <= 16
    assert (client.stats().busy, client.stats().waiting) == (0, 0)


async def test_waiting_for_a_connection_is_bounded_in_time(make_client, serve):
    """A request that gets no connection in time is refused, and certainly was not sent."""
    upstream = await serve(once(hold=True))
    client = make_client(connections=1)
    first = asyncio.create_task(client.send(upstream.target(), [], BODY, PATIENT))
    await eventually(lambda: len(upstream.requests) == 1)
    with pytest.raises(UpstreamError) as caught:
        await client.send(upstream.target(), [], BODY, Timeouts(connect=0.1))
    assert (caught.value.kind, caught.value.sent) == (FailureKind.POOL_FULL, False)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_waiting_for_a_connection_is_bounded_in_number(make_client, serve):
    """A full queue refuses at once; those in it are served when a connection becomes free."""
    release = asyncio.Event()

    async def script(wire: Wire) -> None:
        while True:
            await wire.request()
            await release.wait()
            await wire.say(OK)

    upstream = await serve(script)
    client = make_client(connections=1, waiting=1)
    tasks = [asyncio.create_task(client.send(upstream.target(), [], BODY, PATIENT)) for _ in range(2)]
    await eventually(lambda: client.stats().waiting == 1 and len(upstream.requests) == 1)
    started = time.monotonic()
    with pytest.raises(UpstreamError) as caught:
        await client.send(upstream.target(), [], BODY, PATIENT)
    assert (caught.value.kind, caught.value.sent) == (FailureKind.POOL_FULL, False)
    assert time.monotonic() - started < PATIENT.connect / 2, "it waited for its turn"
    release.set()
    assert [answer.status for answer in await asyncio.gather(*tasks)] == [200, 200]
    assert upstream.connections == 1


async def test_cancelled_waiters_leave_no_hole(make_client, serve):
    """Requests cancelled while waiting, or just as their turn comes, do not cost the pool a place."""

    async def script(wire: Wire) -> None:
        while True:
            await wire.request()
            await asyncio.sleep(0.001)
            await wire.say(OK)

    upstream = await serve(script)
    client = make_client(connections=2)
    for delay in (0.0, 0.001, 0.002, 0.003):
        tasks = [asyncio.create_task(client.send(upstream.target(), [], BODY, PATIENT)) for _ in range(12)]
        await asyncio.sleep(delay)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    answers = await asyncio.gather(*(client.send(upstream.target(), [], BODY, PATIENT) for _ in range(4)))
    assert [answer.status for answer in answers] == [200] * 4
    assert (client.stats().busy, client.stats().waiting) == (0, 0)


async def test_cancelled_while_connecting(make_client, serve):
    """A request cancelled at any step of connecting leaves no connection behind, and the client closes in time."""
    upstream = await serve(always(OK))
    client = make_client(connections=4)
    for steps in range(24):
        task = asyncio.create_task(client.send(upstream.target(), [], BODY, PATIENT))
        for _ in range(steps % 12):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await eventually(lambda: client.stats().busy == 0)
    assert (await client.send(upstream.target(), [], BODY, PATIENT)).status == 200
    await asyncio.wait_for(client.aclose(), SEEN_SECONDS)
    await eventually(lambda: upstream.open_now == 0)


async def test_failed_connections_leave_no_hole(make_client, serve):
    """Connections refused do not use up the pool."""
    upstream = await serve(always(OK))
    target = upstream.target()
    upstream.server.close()
    client = make_client(connections=2)
    for _ in range(5):
        with pytest.raises(UpstreamError) as caught:
            await client.send(target, [], BODY, PATIENT)
        assert caught.value.kind == FailureKind.CONNECT_FAILED
    assert client.stats().busy == 0


async def test_server_closes_a_resting_connection(client, serve):
    """A connection the server closed while it rested is not used for the next request."""
    upstream = await serve(once(OK))
    for number in range(1, 4):
        assert (await client.send(upstream.target(), [], BODY, PATIENT)).status == 200
        await eventually(lambda closed=number: upstream.closed == closed)
        await let_the_loop_look()
    assert upstream.connections == 3


async def test_close_not_yet_noticed_by_the_loop(own_client, serve):
    """A resting connection that was closed while the loop was busy is recognised before it is used (own client)."""
    close = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.say(OK)
        await close.wait()

    upstream = await serve(script)
    client = own_client()
    await client.send(upstream.target(), [], BODY, PATIENT)
    pool = next(iter(client._pools.values()))
    pool._resting[0]._transport.pause_reading()  # stands for a loop that has no time to look
    close.set()
    await eventually(lambda: upstream.closed == 1)
    await asyncio.sleep(0.02)  # longer than a connection is trusted without a look
    assert client.stats().idle == 1
    assert (await client.send(upstream.target(), [], BODY, PATIENT)).status == 200
    assert upstream.connections == 2


@pytest.mark.parametrize("extra", [b"garbage", OK, b"HTTP/1.1 2"])
async def test_bytes_behind_the_answer(own_client, serve, extra):
    """Whatever follows an answer in the same segment is never taken for the next answer (own client)."""
    client = own_client()
    upstream = await serve(once(OK + extra, hold=True))
    for _ in range(2):
        assert (await client.send(upstream.target(), [], BODY, PATIENT)).body == b"{}"
    assert upstream.connections == 2


async def test_bytes_on_a_resting_connection(own_client, serve):
    """An answer nobody asked for is not given to the next request (own client; aiohttp would hand it over)."""
    client = own_client()
    upstream = await serve(once(OK, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", pause=0.1, hold=True))
    for _ in range(2):
        assert (await client.send(upstream.target(), [], BODY, PATIENT)).body == b"{}"
        await eventually(lambda: client.stats().open == 0)
    assert upstream.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    ],
)
async def test_server_asks_to_close(client, serve, answer):
    """A connection announced as the last use is not used again, even if the server leaves it open."""
    upstream = await serve(once(answer, hold=True))
    for _ in range(2):
        assert (await client.send(upstream.target(), [], BODY, PATIENT)).body == b"{}"
    assert upstream.connections == 2


async def test_request_is_never_sent_twice(client, serve):
    """A reused connection that dies with the request on it is an error for the caller to judge, not a silent retry."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.say(OK)
        await wire.request()

    upstream = await serve(script)
    await client.send(upstream.target(), [], BODY, PATIENT)
    with pytest.raises(UpstreamError) as caught:
        await client.send(upstream.target(), [], BODY, PATIENT)
    assert (caught.value.kind, caught.value.sent) == (FailureKind.CUT, True)
    assert len(upstream.requests) == 2


async def test_resting_connections_expire(own_client, serve):
    """A connection that rested longer than allowed is closed (own client: its clock is ours)."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.say(OK)
        await wire.until_closed()

    client = own_client(idle_seconds=0.2)

    async def rest() -> None:
        upstream = await serve(script)
        await client.send(upstream.target(), [], BODY, PATIENT)
        assert (client.stats().open, client.stats().idle) == (1, 1)
        await upstream.see_it_close()

    await undisturbed(rest)
    await eventually(lambda: client.stats().open == 0)


async def test_resting_connections_are_bounded(own_client, serve):
    """No more connections rest than allowed (own client)."""
    upstream = await serve(always(OK))
    client = own_client(idle_connections=2)
    await asyncio.gather(*(client.send(upstream.target(), [], BODY, PATIENT) for _ in range(6)))
    await eventually(lambda: client.stats().open == 2)


async def test_origins_have_pools_of_their_own(make_client, serve):
    """A stuck upstream does not take the connections of another."""
    stuck = await serve(once(hold=True))
    well = await serve(always(OK))
    client = make_client(connections=1)
    waiting = asyncio.create_task(client.send(stuck.target(), [], BODY, PATIENT))
    await eventually(lambda: len(stuck.requests) == 1)
    assert (await client.send(well.target(), [], BODY, PATIENT)).status == 200
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_no_delay(own_client, serve):
    """Small writes are not delayed by the kernel (own client)."""
    upstream = await serve(always(OK))
    client = own_client()
    await client.send(upstream.target(), [], BODY, PATIENT)
    connection = next(iter(client._pools.values()))._resting[0]
    sock = connection._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
