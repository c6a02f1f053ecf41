"""Improper answers, deadlines and hang-ups: each ends in its own kind of error, and never in silence."""

import asyncio
import socket
import struct
import time

import pytest
from scripted_upstream import CHUNKED, OK, PATIENT, SEEN_SECONDS, Wire, always, eventually, once
from tests.undisturbed import undisturbed

from gateway.outbound.upstream.client import Timeouts
from gateway.outbound.upstream.errors import FailureKind, UpstreamError
from gateway.outbound.upstream.target import Target

BODY = b'{"model":"m"}'


async def failure_of(awaitable) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await awaitable
    return caught.value


async def read_all(client, target, timeouts) -> bytes:
    answer = await client.stream(target, [], BODY, timeouts)
    received = b""
    while chunk := await answer.next_chunk():
        received += chunk
    return received


CUTS = {
    "before the answer": (),
    "in the head": (b"HTTP/1.1 200 OK\r\ncontent-le",),
    "in a body with length": (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", b"half"),
    "in a chunk": (CHUNKED, b"ff\r\nhalf"),
    "between chunks": (CHUNKED, b"4\r\nhalf\r\n"),
    "after an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n",),
}


@pytest.mark.parametrize("pieces", CUTS.values(), ids=CUTS.keys())
@pytest.mark.parametrize("how", ["send", "stream"])
async def test_cut(client, serve, pieces, how):
    """An upstream that closes too early is a cut, and the request may have been billed."""
    upstream = await serve(once(*pieces, pause=0.01))
    ask = client.send(upstream.target(), [], BODY, PATIENT) if how == "send" else read_all(client, upstream.target(), PATIENT)
    failure = await failure_of(ask)
    assert (failure.kind, failure.sent) == (FailureKind.CUT, True)
    assert len(upstream.requests) == 1


async def test_what_arrived_before_the_cut_is_delivered(client, serve):
    """A cut stream hands over what came before it raises, and raises again when asked again."""
    upstream = await serve(once(CHUNKED, b"4\r\nhalf\r\n", pause=0.02))
    answer = await client.stream(upstream.target(), [], BODY, PATIENT)
    assert await answer.next_chunk() == b"half"
    for _ in range(2):
        assert (await failure_of(answer.next_chunk())).kind == FailureKind.CUT
    answer.close()


async def test_reset_connection(client, serve):
    """A connection reset within the body is a cut."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.say(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", pause=0.02)
        sock = wire.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.writer.transport.abort()

    upstream = await serve(script)
    failure = await failure_of(client.send(upstream.target(), [], BODY, PATIENT))
    assert (failure.kind, failure.sent) == (FailureKind.CUT, True)


NOT_HTTP = {
    "garbage": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "switched protocol": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "header of 100 KiB": b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\ncontent-length: 0\r\n\r\n",
    "bad length": b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
    "length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("answer", NOT_HTTP.values(), ids=NOT_HTTP.keys())
async def test_not_http(client, serve, answer):
    """What is not a proper HTTP/1.1 answer is refused as such, and the connection closed."""
    upstream = await serve(once(answer, hold=True))
    failure = await failure_of(client.send(upstream.target(), [], BODY, PATIENT))
    assert (failure.kind, failure.sent) == (FailureKind.PROTOCOL, True)
    await upstream.see_it_close()


OWN_NOT_HTTP = {
    "bad chunk size": CHUNKED + b"zz\r\nabc\r\n",
    "unasked transfer coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"x: yyyyyyyyyy\r\n" * 8000 + b"content-length: 0\r\n\r\n",
    "endless interim answers": b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n" * 4000,
    "endless trailers": CHUNKED + b"0\r\n" + b"x: yyyyyyyyyy\r\n" * 80_000,
}


@pytest.mark.parametrize("answer", OWN_NOT_HTTP.values(), ids=OWN_NOT_HTTP.keys())
async def test_not_http_for_the_own_client(own_client, serve, answer):
    """Heads, trailers and interim answers are bounded together, and no coding is accepted unasked (own client)."""
    upstream = await serve(once(answer, hold=True))
    failure = await failure_of(own_client().send(upstream.target(), [], BODY, PATIENT))
    assert (failure.kind, failure.sent) == (FailureKind.PROTOCOL, True)
    await upstream.see_it_close()


async def test_connection_refused(client, serve):
    """A closed port is known at once and nothing was sent."""
    upstream = await serve(always(OK))
    target = upstream.target()
    upstream.server.close()
    failure = await failure_of(client.send(target, [], BODY, PATIENT))
    assert (failure.kind, failure.sent) == (FailureKind.CONNECT_FAILED, False)


async def test_connect_timeout(client):
    """A connection that does not come about in time was never used."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # With its queue full the kernel answers no further handshake on this port.
        clogs = [socket.socket() for _ in range(4)]
        for clog in clogs:
            clog.setblocking(False)
            clog.connect_ex(full.getsockname())
        target = Target(f"http://127.0.0.1:{full.getsockname()[1]}/")
        try:
            failure = await failure_of(client.send(target, [], BODY, Timeouts(connect=0.3, total=10)))
        finally:
            for clog in clogs:
                clog.close()
    assert (failure.kind, failure.sent) == (FailureKind.CONNECT_TIMEOUT, False)


SLOW = {
    "silence": (FailureKind.FIRST_BYTE_TIMEOUT, Timeouts(first_byte=0.2), ()),
    "interim answers only": (FailureKind.FIRST_BYTE_TIMEOUT, Timeouts(first_byte=0.2), (b"HTTP/1.1 100 Continue\r\n\r\n",)),
    "half a head": (FailureKind.FIRST_BYTE_TIMEOUT, Timeouts(first_byte=0.2), (b"HTTP/1.1 200 OK\r\nconte",)),
    "half a body": (FailureKind.IDLE_TIMEOUT, Timeouts(idle=0.2), (CHUNKED, b"4\r\nhalf\r\n")),
    "head only": (FailureKind.IDLE_TIMEOUT, Timeouts(idle=0.2), (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",)),
    "no answer in total": (FailureKind.TOTAL_TIMEOUT, Timeouts(total=0.2), ()),
}


@pytest.mark.parametrize(("kind", "timeouts", "pieces"), SLOW.values(), ids=SLOW.keys())
@pytest.mark.parametrize("how", ["send", "stream"])
async def test_deadlines(client, serve, kind, timeouts, pieces, how):
    """An upstream that takes too long is left, its connection closed, and the error says which clock ran out."""

    async def exchange() -> None:
        upstream = await serve(once(*pieces, pause=0.01, hold=True))
        started = time.monotonic()
        target = upstream.target()
        ask = client.send(target, [], BODY, timeouts) if how == "send" else read_all(client, target, timeouts)
        failure = await failure_of(ask)
        assert (failure.kind, failure.sent) == (kind, True)
        assert 0.15 < time.monotonic() - started < SEEN_SECONDS
        await upstream.see_it_close()

    await undisturbed(exchange)


async def test_total_deadline_of_a_busy_stream(client, serve):
    """A stream that never falls silent still ends with the total deadline."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.say(CHUNKED)
        while True:
            await wire.say(b"1\r\nx\r\n", pause=0.02)

    upstream = await serve(script)
    failure = await failure_of(read_all(client, upstream.target(), Timeouts(idle=10, total=0.6)))
    assert failure.kind == FailureKind.TOTAL_TIMEOUT


async def test_slow_but_steady_stream(client, serve):
    """The idle clock starts anew with every chunk."""

    async def exchange() -> bytes:
        upstream = await serve(once(CHUNKED, *(b"1\r\nx\r\n",) * 8, b"0\r\n\r\n", pause=0.1, hold=True))
        return await read_all(client, upstream.target(), Timeouts(idle=0.4))

    assert await undisturbed(exchange, UpstreamError) == b"x" * 8


async def test_cancelled_send_closes_the_connection(client, serve):
    """When whoever waits is cancelled, the upstream sees the connection close."""
    upstream = await serve(once(hold=True))
    task = asyncio.create_task(client.send(upstream.target(), [], BODY, PATIENT))
    await eventually(lambda: len(upstream.requests) == 1)
    task.cancel()
    await upstream.see_it_close()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: client.stats().busy == 0)


async def test_cancelled_stream_closes_the_connection(client, serve):
    """Cancelling the wait for a chunk closes the connection too."""
    upstream = await serve(once(CHUNKED, b"4\r\nhalf\r\n", hold=True))
    answer = await client.stream(upstream.target(), [], BODY, PATIENT)
    assert await answer.next_chunk() == b"half"
    task = asyncio.create_task(answer.next_chunk())
    await asyncio.sleep(0.05)
    task.cancel()
    await upstream.see_it_close()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_closed_stream(client, serve):
    """A stream given up closes its connection at once, may be closed again, and can no longer be read."""
    upstream = await serve(once(CHUNKED, b"4\r\nhalf\r\n", hold=True))
    answer = await client.stream(upstream.target(), [], BODY, PATIENT)
    answer.close()
    answer.close()
    assert (await failure_of(answer.next_chunk())).kind == FailureKind.CUT
    await upstream.see_it_close()
    await eventually(lambda: client.stats().busy == 0)


async def test_forgotten_stream_ends_with_its_total_deadline(own_client, serve):
    """A stream that its consumer neither reads nor closes does not hold its connection for ever (own client)."""
    client = own_client()

    async def forget() -> None:
        upstream = await serve(once(CHUNKED, b"40000\r\n" + b"x" * 0x40000, b"\r\n4\r\nhalf", hold=True))
        await client.stream(upstream.target(), [], BODY, Timeouts(total=0.3))
        await upstream.see_it_close()

    await undisturbed(forget, UpstreamError)
    await eventually(lambda: client.stats().busy == 0)


async def test_use_after_close(own_client, serve):
    """A closed client refuses to be used."""
    upstream = await serve(always(OK))
    client = own_client()
    await client.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await client.send(upstream.target(), [], BODY, PATIENT)


async def test_closing_the_client_ends_what_runs(client, serve):
    """aclose cuts running exchanges instead of waiting for them."""
    upstream = await serve(once(hold=True))
    task = asyncio.create_task(client.send(upstream.target(), [], BODY, PATIENT))
    await eventually(lambda: len(upstream.requests) == 1)
    await asyncio.wait_for(client.aclose(), SEEN_SECONDS)
    assert (await failure_of(task)).kind == FailureKind.CUT
    await upstream.see_it_close()
