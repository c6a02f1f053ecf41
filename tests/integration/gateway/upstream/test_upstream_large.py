"""Large bodies and slow readers on either side: everything arrives, and memory stays bounded."""

import asyncio
import hashlib
import random

import pytest
from scripted_upstream import CHUNKED, OK, PATIENT, Wire, eventually
from tests.undisturbed import undisturbed

from gateway.outbound.upstream.client import Timeouts
from gateway.outbound.upstream.connection import READ_AHEAD
from gateway.outbound.upstream.errors import FailureKind, UpstreamError

MIB = 1024 * 1024
TEN_MIB = random.Random(7).randbytes(10 * MIB)


async def test_large_bodies_up_and_down(client, serve):
    """Ten MiB go up and come back unchanged, twice over one connection."""

    async def echo(wire: Wire) -> None:
        while True:
            request = await wire.request()
            await wire.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(request.body), request.body)

    upstream = await serve(echo)
    for _ in range(2):
        answer = await client.send(upstream.target(), [], TEN_MIB, PATIENT)
        assert hashlib.sha256(answer.body).digest() == hashlib.sha256(TEN_MIB).digest()
    assert upstream.connections == 1


async def test_upload_to_a_slow_reader(own_client, serve):
    """While the upstream does not read, the client holds at most one slice more than the body itself (own client)."""
    go_on = asyncio.Event()

    async def script(wire: Wire) -> None:
        request = await wire.head()
        wire.writer.transport.pause_reading()
        await go_on.wait()
        wire.writer.transport.resume_reading()
        request.body = await wire.reader.readexactly(int(request.headers[b"content-length"]))
        await wire.say(OK)
        await wire.until_closed()

    upstream = await serve(script)
    client = own_client()
    task = asyncio.create_task(client.send(upstream.target(), [], TEN_MIB * 3, PATIENT))
    await eventually(lambda: len(upstream.requests) == 1)
    connection = next(iter(next(iter(client._pools.values()))._open))
    await eventually(lambda: connection._transport.get_write_buffer_size() > 0)
    await asyncio.sleep(0.2)
    assert connection._transport.get_write_buffer_size() <= 512 * 1024
    go_on.set()
    assert (await task).status == 200
    assert upstream.requests[0].body == TEN_MIB * 3


async def test_consumer_that_does_not_fetch(client, serve):
    """An upstream faster than the consumer is held back, without running into the idle deadline, and nothing is lost."""
    piece = TEN_MIB[:MIB]

    async def exchange() -> None:
        said = 0

        async def script(wire: Wire) -> None:
            nonlocal said
            await wire.request()
            await wire.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (64 * MIB))
            for _ in range(64):
                await wire.say(piece)
                said += MIB
            await wire.until_closed()

        upstream = await serve(script)
        answer = await client.stream(upstream.target(), [], b"{}", Timeouts(idle=0.3))
        await asyncio.sleep(1)
        assert said < 32 * MIB  # what the kernel's own buffers take is not ours to bound
        digest = hashlib.sha256()
        while chunk := await answer.next_chunk():
            digest.update(chunk)
        assert digest.digest() == hashlib.sha256(piece * 64).digest()

    await undisturbed(exchange, UpstreamError)


async def test_unfetched_bytes_are_bounded(own_client, serve):
    """The client holds at most its read-ahead and one read of an unfetched stream (own client)."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.say(CHUNKED, *(b"10000\r\n" + b"x" * 65536 + b"\r\n",) * 400)

    upstream = await serve(script)
    answer = await own_client().stream(upstream.target(), [], b"{}", PATIENT)
    await eventually(lambda: answer.buffered > READ_AHEAD)
    await asyncio.sleep(0.1)
    assert answer.buffered <= READ_AHEAD + 512 * 1024
    answer.close()


@pytest.mark.parametrize("status", [b"413 Content Too Large", b"401 Unauthorized"])
async def test_early_answer(client, serve, status):
    """An answer given before the body was read ends the upload and is handed over; the connection is not used again."""

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.say(b"HTTP/1.1 %b\r\ncontent-length: 4\r\n\r\nno!!" % status)
        await wire.until_closed()

    upstream = await serve(script)
    for _ in range(2):
        answer = await client.send(upstream.target(), [], TEN_MIB, PATIENT)
        assert (b"%d" % answer.status, answer.body) == (status[:3], b"no!!")
    assert upstream.connections == 2


async def test_cut_during_the_upload(own_client, serve):
    """An upstream that goes away before it could have read the whole request saw no complete one (own client)."""

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.writer.transport.abort()

    upstream = await serve(script)
    with pytest.raises(UpstreamError) as caught:
        await own_client().send(upstream.target(), [], TEN_MIB * 3, PATIENT)
    assert (caught.value.kind, caught.value.sent) == (FailureKind.CUT, False)


async def test_first_byte_deadline_during_the_upload(client, serve):
    """An upstream that neither reads nor answers runs into the first-byte deadline."""

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.writer.transport.pause_reading()
        await done.wait()

    done = asyncio.Event()
    upstream = await serve(script)
    with pytest.raises(UpstreamError) as caught:
        await client.send(upstream.target(), [], TEN_MIB * 3, Timeouts(first_byte=0.3))
    done.set()
    assert caught.value.kind == FailureKind.FIRST_BYTE_TIMEOUT
