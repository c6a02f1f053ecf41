"""A gateway of a few routes on a real socket: real server, hot path, directory and use cases; no bus, no provider."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import uvloop
from nats.aio.client import Client

from common.contracts.directory import NO_LIMITS, Limits
from common.contracts.prices import built_in_book
from gateway.domain.address_failures import AddressFailures
from gateway.domain.calendar import Calendar
from gateway.domain.learned_usage import LearnedUsage
from gateway.domain.routing import Candidate, Routes, make_route
from gateway.inbound.confinement import Confinement
from gateway.inbound.hot_path import HotPath
from gateway.inbound.plain_routes import EstimateRoute, ExplainRoute, QuotaRoute
from gateway.inbound.waiting_requests import WaitingRequests
from gateway.outbound.booked_requests import BookedRequests
from gateway.outbound.grants import Grants
from gateway.outbound.rates import Rates
from gateway.server import Server, config_for
from gateway.use_cases.estimate_request import EstimateRequest
from gateway.use_cases.explain_request import ExplainRequest
from gateway.use_cases.identify_caller import IdentifyCaller
from gateway.use_cases.limit_questions import LimitQuestions
from gateway.use_cases.plan_request import PlanRequest
from gateway.use_cases.show_quota import QuotaStates, ShowQuota
from gateway.use_cases.take_hold import TakeHold
from gateway.use_cases.take_rate import TakeRate
from tests.e2e.running_stack import eventually
from tests.unit.gateway.directory_makers import PEPPERS, StandingFeed, fresh_plaintext, full_view, key_record

BOOK = built_in_book()
FAST = make_route("fast", (Candidate("u", "gpt-4o", b'"gpt-4o"', BOOK.find("gpt-4o"), family="o200k_base"),))
ROUTES = Routes(tiers={"fast": FAST, "deep": FAST}, models={}, prefixes={}, deep_from_characters=1_000, default_output_cap=500)


@dataclass
class SmallGateway:
    """Its bounds are parameters; `hot` and `server` are there once it runs, `key` is the one that it knows."""

    body_seconds: float = 30.0
    failures_per_minute: int = 0
    by_address: Limits = NO_LIMITS
    drain_seconds: float = 5.0
    questions_at_once: int = 100
    key: str = field(default_factory=fresh_plaintext)
    hot: HotPath = field(init=False)
    server: Server | None = None

    @property
    def port(self) -> int:
        """Of its own choice."""
        assert self.server is not None
        port: int = self.server.servers[0].sockets[0].getsockname()[1]
        return port

    def stop(self) -> None:
        """As a signal would; it drains."""
        if self.server is not None:
            self.server.should_exit = True

    async def serve(self) -> None:
        """Until it is stopped."""
        waiting = WaitingRequests(self.body_seconds)
        self.hot = self._hot_path(waiting)
        self.server = Server(
            config_for(self.hot, "127.0.0.1", 0),
            self.hot,
            waiting.refuse_all,
            drain_seconds=self.drain_seconds,
            slow_reader_seconds=60,
        )
        sweep = asyncio.create_task(waiting.sweep())
        try:
            await self.server.serve()
        finally:
            sweep.cancel()

    def _hot_path(self, waiting: WaitingRequests) -> HotPath:
        client = Client()
        grants = Grants(client, gateway="g", boot="b", expected=(100, 0))
        calendar = Calendar()
        take_hold = TakeHold(grants, calendar)
        take_rate = TakeRate(Rates(client, gateway="g", boot="b"), self.by_address)
        plan = PlanRequest(ROUTES, calendar, take_hold, LearnedUsage(), lambda _family, _request: None, BOOK.dearest(), 0.05)
        estimate = EstimateRequest(plan, take_rate, grants, 0.05, self._limit("estimates"))
        explain = ExplainRequest(BookedRequests(client), self._limit("explanations"))
        quota = ShowQuota(take_hold, take_rate, QuotaStates(), calendar, BOOK.dearest(), 100)
        confinement = Confinement(())
        feed = StandingFeed()
        return HotPath(
            _nothing_else,
            {
                ("POST", "/estimate"): EstimateRoute(estimate, waiting, confinement.network, max_body=1_000_000),
                ("GET", "/quota"): QuotaRoute(quota, confinement.network),
                ("GET", "/requests/{request_id}/explain"): ExplainRoute(explain),
            },
            IdentifyCaller(full_view(key_record(self.key)), feed, PEPPERS),  # type: ignore[arg-type] # a feed of ours
            lambda _code: None,
            confinement,
            AddressFailures(self.failures_per_minute),
            max_in_flight=100,
        )

    def _limit(self, kind: str) -> LimitQuestions:
        return LimitQuestions(kind, per_second=1, at_once=self.questions_at_once)


async def _nothing_else(*_: object) -> None:
    raise AssertionError("only the routes above are asked for")


@contextlib.contextmanager
def running(gateway: SmallGateway) -> Iterator[SmallGateway]:
    """Start it on a port of its own choice, and stop it."""
    thread = threading.Thread(target=lambda: uvloop.run(gateway.serve()))
    thread.start()
    try:
        eventually(lambda: gateway.server is not None and gateway.server.started)
        yield gateway
    finally:
        gateway.stop()
        thread.join(60)
