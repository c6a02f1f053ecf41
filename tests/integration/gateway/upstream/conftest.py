"""Every test of the upstream client runs on both event loops, and, unless it says otherwise, on both clients."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

import pytest
import uvloop
from scripted_upstream import Script, Upstream

from gateway.outbound.upstream.aiohttp_client import AiohttpClient
from gateway.outbound.upstream.client import PoolLimits, UpstreamClient
from gateway.outbound.upstream.pooled_client import PooledClient

ClientFactory = Callable[..., UpstreamClient]
Serve = Callable[..., Awaitable[Upstream]]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="module", autouse=True)
def _nothing_left_open() -> Iterator[None]:
    """Whatever a module's tests left unclosed is collected, and so reported, before the next module."""
    yield
    gc.collect()


@pytest.fixture
async def own_client() -> AsyncIterator[ClientFactory]:
    """Builds the gateway's own client, for promises that only it makes."""
    made: list[UpstreamClient] = []

    def make(**limits: float) -> UpstreamClient:
        made.append(PooledClient(PoolLimits(**limits), tick_seconds=0.02))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


@pytest.fixture
async def aiohttp_client() -> AsyncIterator[ClientFactory]:
    made: list[UpstreamClient] = []

    def make(**limits: float) -> UpstreamClient:
        made.append(AiohttpClient(PoolLimits(**limits)))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


@pytest.fixture(params=["own", "aiohttp"])
def make_client(request: pytest.FixtureRequest, own_client: ClientFactory, aiohttp_client: ClientFactory) -> ClientFactory:
    return own_client if request.param == "own" else aiohttp_client


@pytest.fixture
async def client(make_client: ClientFactory) -> UpstreamClient:
    return make_client()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts scripted upstreams."""
    started: list[Upstream] = []

    async def start(script: Script, **options: object) -> Upstream:
        tls = options.pop("tls", None)
        upstream = Upstream(script, **options)
        await upstream.start(tls)
        started.append(upstream)
        return upstream

    yield start
    for upstream in started:
        await upstream.stop()
