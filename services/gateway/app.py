"""Builds the gateway: the only place where its parts meet."""

import asyncio
import gc
import logging
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import nats.errors
from fastapi import FastAPI
from nats.aio.client import Client
from prometheus_client import CollectorRegistry

from common.bus import connection
from common.client_address import parse_networks
from common.contracts.api_keys import Peppers
from common.contracts.directory import NO_LIMITS, Limits, ProjectRecord
from common.contracts.prices import ModelPrice, PriceBook, built_in_book, dearest_of
from common.health import Dependency, health_routes
from gateway.background import RESTART_SECONDS, Background
from gateway.domain.address_failures import AddressFailures
from gateway.domain.calendar import Calendar
from gateway.domain.caller import Record
from gateway.domain.directory_view import DirectoryView
from gateway.domain.learned_usage import LearnedUsage
from gateway.domain.refusals import Refusal
from gateway.domain.routing import Routes
from gateway.domain.upstream_health import Health
from gateway.inbound.chat import ChatRoute
from gateway.inbound.confinement import Confinement
from gateway.inbound.documented import documented_routes
from gateway.inbound.hot_path import HotPath
from gateway.inbound.listeners import listen_to_quota, listen_to_recalls
from gateway.inbound.plain_routes import EstimateRoute, ExplainRoute, ModelsRoute, QuotaRoute
from gateway.inbound.waiting_requests import WaitingRequests
from gateway.outbound.booked_requests import BookedRequests
from gateway.outbound.directory_feed import DirectoryFeed
from gateway.outbound.directory_file import DirectoryFile
from gateway.outbound.event_publisher import EventPublisher
from gateway.outbound.event_spool.spool import EventSpool
from gateway.outbound.grants import Grants
from gateway.outbound.meters import Meters, MetersCollector
from gateway.outbound.rates import Rates
from gateway.outbound.response_cache import ResponseCache
from gateway.outbound.routes_file import UpstreamAddress, read_routes
from gateway.outbound.tokenizers import Tokenizers
from gateway.outbound.upstream.client import PoolLimits, Timeouts, UpstreamClient
from gateway.outbound.upstream.pooled_client import PooledClient
from gateway.outbound.upstream.target import Target
from gateway.readiness import gauges, readiness
from gateway.server import Server, config_for, exit_cleanly_on_signals
from gateway.settings import Settings
from gateway.use_cases.answer_chat import AnswerChat
from gateway.use_cases.call_upstream import CallUpstream, RetryPolicy
from gateway.use_cases.estimate_request import EstimateRequest
from gateway.use_cases.explain_request import ExplainRequest
from gateway.use_cases.extend_hold import ExtendHold
from gateway.use_cases.identify_caller import IdentifyCaller
from gateway.use_cases.limit_questions import LimitQuestions
from gateway.use_cases.plan_request import PlanRequest
from gateway.use_cases.relay_stream import ActiveStreams
from gateway.use_cases.settle_request import SettleRequest
from gateway.use_cases.show_quota import QuotaStates, ShowQuota
from gateway.use_cases.take_hold import TakeHold
from gateway.use_cases.take_rate import TakeRate

log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
GC_THRESHOLDS = (20_000, 20, 50)
"""A request leaves no cycles behind: looking for them after every 700 objects costs 8 µs a request."""

SHORT_PROMPT = 512


@dataclass(frozen=True, slots=True)
class Gateway:
    """What `serve` needs of an open gateway."""

    hot: HotPath
    waiting: WaitingRequests
    streams: ActiveStreams

    def cut(self, make_refusal: Callable[[], Refusal]) -> None:
        """End everything that is being answered."""
        self.streams.cut_all(make_refusal)
        self.waiting.refuse_all(make_refusal)


async def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; 0 after a clean stop. Raises RoutesError."""
    asked_to_stop = exit_cleanly_on_signals()
    async with open_gateway(settings) as gateway:
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not look at it again and again
        gc.set_threshold(*GC_THRESHOLDS)
        server = Server(
            config_for(gateway.hot, settings.host, settings.port),
            gateway.hot,
            gateway.cut,
            drain_seconds=settings.drain_seconds,
            slow_reader_seconds=settings.slow_reader_seconds,
        )
        server.should_exit = asked_to_stop()
        await server.serve()
        return 0 if server.started else 1


@asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """Opens in order of need, closes in reverse: streams have ended by then, the spool is flushed, the boot closed."""
    prices = built_in_book()
    routes, addresses = read_routes(settings.routes_file, prices)
    async with AsyncExitStack() as stack:
        spool = EventSpool.open(
            settings.state_dir / "spool",
            gateway=f"{socket.gethostname()}-{settings.port}",  # several on one host are several to the others
            segment_bytes=settings.spool_segment_bytes,
            max_bytes=settings.spool_max_bytes,
        )
        stack.callback(spool.close)
        view = DirectoryView()
        file = DirectoryFile(
            settings.state_dir / "directory" / spool.slot, bytes.fromhex(settings.view_secret.get_secret_value())
        )
        stack.callback(file.close)
        streams = ActiveStreams()
        meters = Meters()
        client = Client()
        grants = Grants(
            client,
            gateway=spool.gateway,
            boot=spool.boot,
            expected=_ordinary_hold(routes),
            gateways=settings.expected_gateways,
            contact_seconds=settings.grant_contact_seconds,
            closed=_end_this_process,
        )
        calendar = Calendar()
        rates = Rates(client, gateway=spool.gateway, boot=spool.boot, gateways=settings.expected_gateways)
        by_address = _limits_by_address(settings)
        take_rate = TakeRate(rates, by_address)
        confinement = Confinement(parse_networks(settings.trusted_proxies))
        take_hold = TakeHold(grants, calendar)
        tokenizers = Tokenizers(candidate.family for candidate in routes.candidates() if settings.tokenizer)
        changed = _on_change(view, streams, take_hold, tokenizers)
        feed = DirectoryFeed(client, view, file, gateway=spool.gateway, boot=spool.boot, changed=changed)
        feed.take_from_file()
        publisher = EventPublisher(client, spool, stall_seconds=settings.spool_stall_seconds)
        cache = ResponseCache(settings.cache_url, settings.cache_password.get_secret_value()) if settings.cache_url else None
        if cache is not None:
            stack.push_async_callback(cache.close)
        upstream = _upstream_client(settings)
        stack.push_async_callback(upstream.aclose)
        states = QuotaStates()
        learned = LearnedUsage()
        settle = SettleRequest(spool, meters, learned, prices.version)
        identify = IdentifyCaller(view, feed, Peppers.parse(settings.key_peppers.get_secret_value()))
        targets = _targets(addresses)
        wait_seconds = settings.grant_wait_ms / 1000
        plan = PlanRequest(routes, calendar, take_hold, learned, tokenizers, prices.dearest(), wait_seconds)
        answer = AnswerChat(
            plan=plan,
            take_rate=take_rate,
            take_hold=take_hold,
            extend_hold=ExtendHold(take_hold, spool, wait_seconds),
            call_upstream=CallUpstream(
                upstream, targets, Health(), take_hold, spool, _retry_policy(settings), identify.still_valid
            ),
            settle=settle,
            spool=spool,
            cache=cache,
            streams=streams,
            price_version=prices.version,
            still_valid=identify.still_valid,
        )
        waiting = WaitingRequests(settings.body_seconds)
        chat = ChatRoute(
            answer,
            identify.still_valid,
            waiting,
            max_body=settings.max_body_bytes,
            slow_reader_seconds=settings.slow_reader_seconds,
            address=confinement.network if by_address is not NO_LIMITS else None,
        )
        registry = CollectorRegistry()
        rest = people_app(readiness(lambda: hot.draining, view, feed, spool, client, grants, cache), registry)
        hot = HotPath(
            rest,
            {
                ("POST", "/chat/completions"): chat,
                ("GET", "/models"): ModelsRoute(routes, int(time.time())),
                ("GET", "/quota"): QuotaRoute(
                    ShowQuota(take_hold, take_rate, states, calendar, _dearest(routes, prices), settings.max_in_flight),
                    confinement.network,
                ),
                ("POST", "/estimate"): EstimateRoute(
                    EstimateRequest(plan, take_rate, grants, wait_seconds, LimitQuestions("estimates")),
                    waiting,
                    confinement.network,
                    max_body=settings.max_body_bytes,
                ),
                ("GET", "/requests/{request_id}/explain"): ExplainRoute(
                    ExplainRequest(BookedRequests(client), LimitQuestions("explanations"))
                ),
            },
            identify,
            meters.refused,
            confinement,
            AddressFailures(settings.ip_failures_per_minute),
            max_in_flight=settings.max_in_flight,
        )
        registry.register(MetersCollector(meters, gauges(hot, view, feed, publisher, grants, rates, upstream, cache)))
        background = Background()
        stack.push_async_callback(_stop_bus, background, feed, publisher, grants, client)
        background.start("waiting", waiting.sweep)
        background.start("sweep", chat.sweep)
        if cache is not None:
            background.start("cache", cache.connect)
        background.start("spool", publisher.keep_syncing)
        background.start("recovery", publisher.keep_recovering)
        background.start("grants", grants.run)
        background.start("rates", rates.run)
        background.start("bus", lambda: _bus(settings, client, feed, publisher, grants, rates, states, background))
        yield Gateway(hot, waiting, streams)


async def _bus(
    settings: Settings,
    client: Client,
    feed: DirectoryFeed,
    publisher: EventPublisher,
    grants: Grants,
    rates: Rates,
    states: QuotaStates,
    background: Background,
) -> None:
    """Connect, however long that takes, then start everything that needs the bus; who asks for budget and leases runs already."""

    async def reconnected() -> None:
        feed.look_now()

    while not client.is_connected:
        try:
            await client.connect(
                **connection.options(
                    url=settings.nats_url,
                    service="gateway",
                    password=settings.nats_password.get_secret_value(),
                    name=f"gateway {settings.port}",
                    on_reconnect=reconnected,
                )
            )
            connection.require_version(client)
        except (nats.errors.Error, OSError, TimeoutError) as problem:
            log.warning("bus: cannot connect", extra={"problem": type(problem).__name__})
            await asyncio.sleep(RESTART_SECONDS)
    background.start("directory", feed.run)
    background.start("shipper", publisher.run)
    await listen_to_recalls(client, grants.recall, rates.recall)
    await listen_to_quota(client, states)


async def _stop_bus(
    background: Background, feed: DirectoryFeed, publisher: EventPublisher, grants: Grants, client: Client
) -> None:
    """At the end: the view to disk, what is unspent back, the spool flushed and the boot closed, then the connection."""
    await feed.save_now()
    await background.stop()
    if client.is_connected:
        await grants.give_all_back()
        await publisher.flush(FLUSH_SECONDS)
    if not client.is_closed:
        await client.close()


def _on_change(
    view: DirectoryView, streams: ActiveStreams, take_hold: TakeHold, tokenizers: Tokenizers
) -> Callable[[Record], None]:
    def changed(record: Record) -> None:
        take_hold.prepare(record, view.organization(record.organization_id))
        if isinstance(record, ProjectRecord) and record.budget_mode != "strict":
            tokenizers.load()
        if record.status != "active" and streams.running:
            streams.cut(record)

    return changed


def _end_this_process() -> None:
    """As an orchestrator would: what runs is finished, the spool is flushed, and whatever keeps us running starts another boot."""
    signal.raise_signal(signal.SIGTERM)


def _dearest(routes: Routes, prices: PriceBook) -> ModelPrice:
    """The rates that nothing which this gateway reaches passes."""
    found = [candidate.price for candidate in routes.candidates() if candidate.price is not None]
    return dearest_of(found, prices.version) if found else prices.dearest()


def _limits_by_address(settings: Settings) -> Limits:
    """What every client address may use; settings of 0 are no limit."""
    limits = Limits(
        version=1,
        requests_per_minute=settings.ip_requests_per_minute or None,
        tokens_per_minute=settings.ip_tokens_per_minute or None,
        concurrency=settings.ip_concurrency or None,
    )
    return NO_LIMITS if limits == Limits(version=1) else limits


def _ordinary_hold(routes: Routes) -> tuple[int, int]:
    """What a short request of the fast tier holds: (tokens, nano-USD)."""
    price = routes.tiers["fast"].bound_price
    cap = routes.default_output_cap
    return SHORT_PROMPT + cap, price.bound(SHORT_PROMPT, cap) if price else 0


def _upstream_client(settings: Settings) -> UpstreamClient:
    limits = PoolLimits(connections=settings.upstream_connections, idle_connections=settings.upstream_connections)
    if settings.upstream_client == "own":
        return PooledClient(limits)
    from gateway.outbound.upstream.aiohttp_client import AiohttpClient

    return AiohttpClient(limits)


def _targets(addresses: dict[str, UpstreamAddress]) -> dict[str, Target]:
    targets = {}
    for name, address in addresses.items():
        headers = {"content-type": "application/json", "user-agent": "codexflow-gateway"}
        if address.api_key:
            headers["authorization"] = f"Bearer {address.api_key}"
        targets[name] = Target(f"{address.base_url}/chat/completions", headers, ca_file=address.ca_file)
    return targets


def _retry_policy(settings: Settings) -> RetryPolicy:
    return RetryPolicy(
        extra_attempts=settings.extra_attempts,
        backoff=settings.backoff_ms / 1000,
        timeouts=Timeouts(
            connect=settings.upstream_connect_seconds,
            first_byte=settings.upstream_first_byte_seconds,
            idle=settings.upstream_idle_seconds,
            total=settings.upstream_total_seconds,
        ),
    )


def people_app(check: Callable[[], list[Dependency]], registry: CollectorRegistry) -> FastAPI:
    """What is not hot: documentation and health."""
    app = FastAPI(
        title="CodexFlow gateway",
        version="1",
        description="OpenAI-compatible; every path under /v1 also answers under /api/v1.",
    )
    app.include_router(health_routes(check, registry))
    app.include_router(documented_routes())
    return app
