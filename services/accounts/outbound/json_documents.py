"""JSON of somebody else's over HTTP: no redirects, a deadline, and no more than we want to hold."""

import asyncio
from typing import Any, TypeVar

import httpx
import msgspec

from accounts.outbound.remembered import FetchFailed

Shape = TypeVar("Shape")

CONNECTIONS = 20
REQUEST_SECONDS = 5.0
LARGEST_ANSWER = 256 * 1024


def open_client() -> httpx.AsyncClient:
    """A client for such documents. It asks for them uncompressed: what is small on the wire must not be large here."""
    return httpx.AsyncClient(
        headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "codexflow-accounts"},
        follow_redirects=False,
        timeout=REQUEST_SECONDS,
        limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=2),
    )


async def ask(client: httpx.AsyncClient, method: str, url: str, **options: Any) -> tuple[int, bytes]:
    """The status and the body of an answer, whichever it is. Raises FetchFailed when none comes in time."""
    try:
        async with asyncio.timeout(REQUEST_SECONDS), client.stream(method, url, **options) as answer:
            return answer.status_code, await _body(answer)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as problem:
        raise FetchFailed(type(problem).__name__) from None


async def document(client: httpx.AsyncClient, url: str, shape: type[Shape], **options: Any) -> Shape:
    """The document at the URL. Raises FetchFailed for any other answer."""
    status, body = await ask(client, "GET", url, **options)
    if status != 200:
        raise FetchFailed(f"an answer of status {status}")
    return decoded(body, shape)


def decoded(body: bytes, shape: type[Shape]) -> Shape:
    """The body in that shape; raises FetchFailed when it is not."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeError):
        raise FetchFailed(f"an answer that is no {shape.__name__}") from None


async def _body(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise FetchFailed("an answer larger than any that is meant")
    return bytes(body)
