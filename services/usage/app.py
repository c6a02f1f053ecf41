"""Wiring: what the service is made of, in which order it starts and stops."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from common import problems
from common.cancelling import cancel_all
from common.contracts.prices import built_in_book
from common.health import Dependency, Heartbeat, State, health_routes
from usage.domain.presence import Present
from usage.inbound.alerts import alert_routes
from usage.inbound.caller import caller_dependency
from usage.inbound.listeners import Listeners, build_broker
from usage.inbound.reports import report_routes
from usage.inbound.request_listener import RequestListener
from usage.outbound.bus import Bus
from usage.outbound.database import PERMANENT, TRANSIENT, Database
from usage.outbound.directory_feed import DirectoryFeed
from usage.outbound.key_set import KeySet
from usage.outbound.ledger_store import Scope
from usage.outbound.present_roles import PresentRoles
from usage.outbound.recalls import Recalls
from usage.settings import Settings
from usage.use_cases.answer_grants import AnswerGrants
from usage.use_cases.answer_rates import AnswerRates
from usage.use_cases.explain_request import ExplainRequest
from usage.use_cases.identify_caller import identify_caller
from usage.use_cases.keep_house import KeepHouse
from usage.use_cases.keep_partitions import Partitions
from usage.use_cases.project_directory import ProjectDirectory
from usage.use_cases.publish_key_activity import PublishKeyActivity
from usage.use_cases.publish_quota import PublishQuota
from usage.use_cases.publish_watermarks import PublishWatermarks
from usage.use_cases.raise_alerts import RaiseAlerts
from usage.use_cases.record_requests import RecordRequests
from usage.use_cases.show_alerts import ShowAlerts
from usage.use_cases.show_usage import ShowUsage
from usage.use_cases.watch_over import Watchdog

log = logging.getLogger(__name__)

STALE_SECONDS = 10.0
RESTART_SECONDS = 1.0
ASKS_POOL_SIZE = 6


class Service:
    """Everything that lives as long as the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        password = settings.nats_password.get_secret_value()
        url, database_password = str(settings.database_url), settings.database_password.get_secret_value()
        self.database = Database(url, database_password)
        # Of their own: asks are answered within milliseconds or in vain, whatever reports and bookings do.
        self.asks_database = Database(url, database_password, name="usage-asks", size=ASKS_POOL_SIZE)
        self.bus = Bus(settings.nats_url, password)
        self.keys = KeySet(str(settings.jwks_url))
        self.present_roles = PresentRoles(str(settings.jwks_url))
        self.partitions = Partitions(self.database, settings.retention_days)
        self.house = KeepHouse(self.database, self.partitions)
        self.present = Present()
        self.quota = PublishQuota(self.database, self.bus)
        self.alerts = RaiseAlerts(self.database, self.bus)
        self.directory = ProjectDirectory(self.database, DirectoryFeed(self.bus), self._touched)
        self.key_activity = PublishKeyActivity(self.bus)
        record = RecordRequests(self.database, self.bus, self.partitions, built_in_book(), self._touched, self.key_activity.used)
        self.requests = RequestListener(lambda: self.bus.jetstream, record)
        self.watermarks = PublishWatermarks(self.database, self.bus, self._present_boots)
        recalls = Recalls(self.bus)
        answer = AnswerGrants(
            self.asks_database,
            self.directory.look_now,
            self._touched,
            lambda: len(self._present_boots()),
            recalls.of_grants,
        )
        answer_rates = AnswerRates(self.asks_database, self._present_boots, recalls.of_rates)
        broker = build_broker(url=settings.nats_url, password=password)
        self.listeners = Listeners(
            broker, answer, answer_rates, ExplainRequest(self.database), (*TRANSIENT, *PERMANENT), self.present
        )
        self.watchdog = Watchdog(
            self.database, self.bus, settings.nats_url, lambda: self.listeners.connected, self.requests.heartbeat
        )
        self.draining = False
        self._tasks: list[asyncio.Task[None]] = []
        self._consuming: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start everything in the background: neither Postgres nor NATS need to be there yet."""
        await self.database.open()
        await self.asks_database.open()
        background: dict[str, Callable[[], Awaitable[None]]] = {
            "bus": self.bus.run,
            "listeners": self.listeners.run,
            "directory": self.directory.run,
            "quota": self.quota.run,
            "alerts": self.alerts.run,
            "key_activity": self.key_activity.run,
            "watermarks": self.watermarks.run,
            "house": self.house.every_hour,
            "leases": self.house.every_minute,
            "watchdog": self.watchdog.run,
        }
        self._tasks = [asyncio.create_task(_supervised(name, run), name=name) for name, run in background.items()]
        self._consuming = asyncio.create_task(_supervised("requests", self.requests.run), name="requests")

    async def stop(self) -> None:
        """Book the batch in hand, answer the asks in hand, then close everything; bounded by the drain time."""
        self.draining = True
        self.requests.stop()
        if self._consuming:
            await asyncio.wait([self._consuming], timeout=self._settings.drain_seconds)
            self._consuming.cancel()
        await self.listeners.stop()
        await cancel_all(self._tasks)
        await self.bus.close()
        await self.keys.close()
        await self.present_roles.close()
        await self.asks_database.close()
        await self.database.close()

    def check(self) -> list[Dependency]:
        """Readiness, from memory."""
        consumer = self.watchdog.consumer.age
        fetches = self.requests.heartbeat.age
        connected: State = "up" if self.bus.connected and self.listeners.connected else "down"
        return [
            _by_age("postgres", self.database.heartbeat),
            Dependency("nats", connected, needed=True, age_seconds=consumer),
            _by_age("requests_consumer", self.watchdog.consumer),
            Dependency(
                "requests_fetch", "up" if (fetches or 0) < STALE_SECONDS * 3 else "down", needed=False, age_seconds=fetches
            ),
            _by_age("directory", self.directory.heartbeat, needed=False),
            Dependency("accepting", "down" if self.draining else "up", needed=True),
        ]

    def _touched(self, scopes: frozenset[Scope]) -> None:
        self.quota.touch(scopes)
        self.alerts.touch(scopes)

    def _present_boots(self) -> list[str]:
        return self.present.boots(time.monotonic())


def build_app(settings: Settings) -> FastAPI:
    """The HTTP side, which owns the service's life."""
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = FastAPI(title="CodexFlow usage", version="1", lifespan=lifespan)
    problems.install(app)
    app.include_router(health_routes(service.check))
    caller = caller_dependency(lambda token: identify_caller(token, service.keys, service.present_roles))
    app.include_router(report_routes(ShowUsage(service.database), caller))
    app.include_router(alert_routes(ShowAlerts(service.database), caller))
    return app


async def _supervised(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run until it returns; what should not happen is logged, and it starts again."""
    while True:
        try:
            return await run()
        except Exception:
            log.exception("%s: failed unexpectedly, starting again", name)
            await asyncio.sleep(RESTART_SECONDS)


def _by_age(name: str, heartbeat: Heartbeat, *, needed: bool = True) -> Dependency:
    age = heartbeat.age
    state: State = "up" if age is not None and age < STALE_SECONDS else "down"
    return Dependency(name, state, needed=needed, age_seconds=age)
