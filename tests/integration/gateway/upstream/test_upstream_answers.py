"""Proper answers in every framing HTTP/1.1 knows."""

import asyncio

import pytest
from scripted_upstream import CHUNKED, OK, PATIENT, Wire, always, once

from gateway.outbound.upstream.errors import FailureKind, UpstreamError

BODY = b'{"model":"m"}'

FRAMINGS = {
    "content-length": (b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",),
    "chunked": (CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",),
    "chunked with extension and trailers": (CHUNKED + b"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 1\r\n\r\n",),
    "until close": (b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nhello", b" world"),
    "connection: close": (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 11\r\n\r\nhello world",),
    "http/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello world",),
    "http/1.0 with length": (b"HTTP/1.0 200 OK\r\ncontent-length: 11\r\n\r\nhello world",),
    "100 and 103 first": (
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world",
    ),
    "interim in one segment": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world",),
}


@pytest.mark.parametrize("pieces", FRAMINGS.values(), ids=FRAMINGS.keys())
async def test_whole_answer(client, serve, pieces):
    """Whatever the framing, the whole body and nothing else is handed over."""
    upstream = await serve(once(*pieces, pause=0.01))
    answer = await client.send(upstream.target(), [], BODY, PATIENT)
    assert (answer.status, answer.body) == (200, b"hello world")
    assert answer.header(b"link") is None
    assert answer.header(b"x-sum") is None


@pytest.mark.parametrize("pieces", FRAMINGS.values(), ids=FRAMINGS.keys())
async def test_streamed_answer(client, serve, pieces):
    """A streamed body ends with an empty chunk in every framing."""
    upstream = await serve(once(*pieces, pause=0.01))
    answer = await client.stream(upstream.target(), [], BODY, PATIENT)
    received = b""
    while chunk := await answer.next_chunk():
        received += chunk
    assert received == b"hello world"
    assert await answer.next_chunk() == b""
    answer.close()


async def test_answer_split_into_single_bytes(client, serve):
    """An answer that arrives byte by byte is the same answer."""
    whole = b"HTTP/1.1 200 OK\r\nX-One: a b\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    upstream = await serve(once(*(bytes((byte,)) for byte in whole), pause=0.001, hold=True))
    answer = await client.send(upstream.target(), [], BODY, PATIENT)
    assert (answer.status, answer.body, answer.header(b"x-one")) == (200, b"abc", b"a b")


async def test_request_on_the_wire(client, serve):
    """The request carries the static headers, the extra ones, its length and the body, and asks for no coding."""
    upstream = await serve(always(OK))
    target = upstream.target({"authorization": "Bearer secret", "content-type": "application/json"})
    await client.send(target, [(b"x-request-id", b"r-1")], BODY, PATIENT)
    request = upstream.requests[0]
    assert request.line == b"POST /v1/chat/completions?a=b HTTP/1.1"
    assert request.body == BODY
    assert request.headers == {
        b"host": b"127.0.0.1:%d" % upstream.port,
        b"accept-encoding": b"identity",
        b"authorization": b"Bearer secret",
        b"content-type": b"application/json",
        b"x-request-id": b"r-1",
        b"content-length": b"13",
    }


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body(client, serve, status):
    """204 and 304 end with their head, and the connection goes on."""
    upstream = await serve(always(b"HTTP/1.1 %d Fine\r\netag: x\r\n\r\n" % status))
    for _ in range(2):
        answer = await client.send(upstream.target(), [], BODY, PATIENT)
        assert (answer.status, answer.body) == (status, b"")
    assert upstream.connections == 1


@pytest.mark.parametrize("status", [301, 307, 400, 401, 429, 500, 503])
async def test_every_status_is_an_answer(client, serve, status):
    """Redirects are not followed and errors are not exceptions: status, headers and body come back as they are."""
    head = b"HTTP/1.1 %d X\r\nlocation: http://127.0.0.1:1/\r\nretry-after: 3\r\ncontent-length: 4\r\n\r\n" % status
    upstream = await serve(always(head + b"oops"))
    answer = await client.stream(upstream.target(), [], BODY, PATIENT)
    assert (answer.status, answer.header(b"retry-after")) == (status, b"3")
    assert await answer.read(100) == b"oops"
    assert len(upstream.requests) == 1


async def test_no_decompression(client, serve):
    """A coded body is handed on as it came."""
    coded = b"\x1f\x8bnot really gzip"
    upstream = await serve(always(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 17\r\n\r\n" + coded))
    answer = await client.send(upstream.target(), [], BODY, PATIENT)
    assert (answer.body, answer.header(b"content-encoding")) == (coded, b"gzip")


async def test_chunks_that_arrive_together_are_joined(own_client, serve):
    """Events that are there at once are handed over at once (own client)."""
    upstream = await serve(once(CHUNKED, b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n", b"0\r\n\r\n", pause=0.05, hold=True))
    answer = await own_client().stream(upstream.target(), [], BODY, PATIENT)
    assert await answer.next_chunk() == b"abc"
    assert await answer.next_chunk() == b""


async def test_chunks_are_not_held_back(client, serve):
    """Each event reaches the consumer while the upstream is still silent about the next."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.say(CHUNKED)
        for number in range(3):
            await wire.say(b"1\r\n%d\r\n" % number)
            await seen[number].wait()
        await wire.say(b"0\r\n\r\n")
        await wire.until_closed()

    seen = [asyncio.Event() for _ in range(3)]
    upstream = await serve(script)
    answer = await client.stream(upstream.target(), [], BODY, PATIENT)
    for number in range(3):
        assert await answer.next_chunk() == b"%d" % number
        seen[number].set()
    assert await answer.next_chunk() == b""


async def test_ipv6_literal(client, serve):
    """An IPv6 literal is an address like any other, bracketed in the Host header."""
    upstream = await serve(always(OK), host="::1")
    assert (await client.send(upstream.target(), [], BODY, PATIENT)).body == b"{}"
    assert upstream.requests[0].headers[b"host"] == b"[::1]:%d" % upstream.port


async def test_proxy_variables_are_ignored(client, serve, monkeypatch):
    """A proxy named by the environment is not used."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    upstream = await serve(always(OK))
    assert (await client.send(upstream.target(), [], BODY, PATIENT)).status == 200


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\nb", b"a\rb", b"a\0b"])
async def test_header_injection_is_refused(client, serve, value):
    """A header value that could end its line never reaches the wire."""
    upstream = await serve(always(OK))
    with pytest.raises(ValueError, match="control character"):
        await client.send(upstream.target(), [(b"x-user", value)], BODY, PATIENT)
    assert upstream.connections == 0


async def test_body_longer_than_the_limit(client, serve):
    """A body over the limit is refused and its connection closed, however it is framed."""
    upstream = await serve(once(CHUNKED, b"400\r\n" + b"x" * 1024 + b"\r\n", b"0\r\n\r\n", hold=True))
    with pytest.raises(UpstreamError) as caught:
        await client.send(upstream.target(), [], BODY, PATIENT, max_body=1000)
    assert (caught.value.kind, caught.value.sent) == (FailureKind.TOO_LARGE, True)


async def test_error_body_longer_than_the_limit(client, serve):
    """Reading the rest of a stream is limited too."""
    upstream = await serve(once(b"HTTP/1.1 500 Oops\r\ncontent-length: 2000\r\n\r\n" + b"x" * 1500, hold=True))
    answer = await client.stream(upstream.target(), [], BODY, PATIENT)
    with pytest.raises(UpstreamError) as caught:
        await answer.read(1000)
    assert caught.value.kind == FailureKind.TOO_LARGE
