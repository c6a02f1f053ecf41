"""FastStream listeners: asks for budget and explanations (any worker answers), and the presence of gateways (every worker hears)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from faststream.nats import NatsBroker, NatsMessage
from faststream.security import SASLPlaintext
from nats.aio.msg import Msg
from nats.errors import Error

from common.bus import connection
from common.contracts.events import ExplainAnswer, ExplainAsk, Presence
from common.contracts.grants import GrantAnswer, GrantAsk
from common.contracts.rates import RatesAnswer, RatesAsk
from common.contracts.subjects import EXPLAIN_ASK, GRANTS_ASK, PRESENCE, RATES_ASK
from common.health import Heartbeat
from usage.domain.presence import Present
from usage.use_cases.counters import GRANT_FAILURES, GRANT_SECONDS, RATE_SECONDS

log = logging.getLogger(__name__)

QUEUE = "usage"
CONCURRENT_ASKS = 8
RETRY_SECONDS = 1.0

Answer = Callable[[GrantAsk], Awaitable[GrantAnswer]]
AnswerRates = Callable[[RatesAsk], Awaitable[RatesAnswer]]
Explain = Callable[[ExplainAsk], Awaitable[ExplainAnswer]]

_asks = msgspec.json.Decoder(GrantAsk)
_rates = msgspec.json.Decoder(RatesAsk)
_explanations = msgspec.json.Decoder(ExplainAsk)
_presences = msgspec.json.Decoder(Presence)


async def raw(message: NatsMessage) -> Msg:
    """The message as it came: a body that cannot be decoded is the handler's affair, not the framework's."""
    return message.raw_message


def build_broker(*, url: str, password: str) -> NatsBroker:
    """A broker on a connection of its own; nothing connects before `Listeners.run`."""
    options: dict[str, Any] = connection.options(url=url, service="usage", password=password, name="usage-listeners")
    security = SASLPlaintext(username=options.pop("user"), password=options.pop("password"), use_ssl=False)
    return NatsBroker(**options, security=security, decoder=raw, apply_types=False, graceful_timeout=5, logger=None)


class Listeners:
    """Starts in the background: NATS may be down when the service starts."""

    def __init__(
        self,
        broker: NatsBroker,
        answer: Answer,
        answer_rates: AnswerRates,
        explain: Explain,
        unavailable: tuple[type[Exception], ...],
        present: Present,
    ) -> None:
        self._broker, self._answer, self._answer_rates, self._explain = broker, answer, answer_rates, explain
        self._unavailable, self._present = unavailable, present
        self.heartbeat = Heartbeat()
        broker.subscriber(GRANTS_ASK, queue=QUEUE, max_workers=CONCURRENT_ASKS, no_reply=True)(self.on_ask)
        broker.subscriber(RATES_ASK, queue=QUEUE, max_workers=CONCURRENT_ASKS, no_reply=True)(self.on_rates)
        broker.subscriber(EXPLAIN_ASK, queue=QUEUE, max_workers=CONCURRENT_ASKS, no_reply=True)(self.on_explain)
        broker.subscriber(PRESENCE, no_reply=True)(self.on_presence)

    async def run(self) -> None:
        """Connect and subscribe, however long it takes; returns once it listens."""
        while True:
            try:
                await self._broker.start()
            except (Error, OSError, TimeoutError) as problem:
                log.warning("listeners: cannot start: %s", problem)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    @property
    def connected(self) -> bool:
        """Whether the connection works, as far as the client knows."""
        return self._broker.running and self._broker.config.connection_state.connection.is_connected

    async def stop(self) -> None:
        """Take no more asks, answer those in hand; bounded."""
        try:
            async with asyncio.timeout(8):
                await self._broker.stop()
        except (Error, OSError, TimeoutError) as problem:
            log.info("listeners: stopped without a last word: %s", type(problem).__name__)

    async def on_ask(self, message: Msg) -> None:
        """Answered from committed books, or not at all: the gateway has its own deadline."""
        try:
            ask = _asks.decode(message.data)
        except msgspec.DecodeError as bad:
            GRANT_FAILURES.labels("unreadable").inc()
            log.warning("grants: an ask cannot be read: %s", bad)
            return
        try:
            with GRANT_SECONDS.time():
                answer = await self._answer(ask)
            await message.respond(msgspec.json.encode(answer))
        except self._unavailable as problem:
            GRANT_FAILURES.labels("unavailable").inc()
            log.warning("grants: no answer: %s", type(problem).__name__)

    async def on_rates(self, message: Msg) -> None:
        """Answered from what is committed, or not at all."""
        try:
            ask = _rates.decode(message.data)
        except msgspec.DecodeError as bad:
            GRANT_FAILURES.labels("unreadable").inc()
            log.warning("rates: an ask cannot be read: %s", bad)
            return
        try:
            with RATE_SECONDS.time():
                answer = await self._answer_rates(ask)
            await message.respond(msgspec.json.encode(answer))
        except self._unavailable as problem:
            GRANT_FAILURES.labels("unavailable").inc()
            log.warning("rates: no answer: %s", type(problem).__name__)

    async def on_explain(self, message: Msg) -> None:
        """Answered from what is booked, or not at all."""
        try:
            await message.respond(msgspec.json.encode(await self._explain(_explanations.decode(message.data))))
        except msgspec.DecodeError as bad:
            log.warning("explain: an ask cannot be read: %s", bad)
        except self._unavailable as problem:
            log.warning("explain: no answer: %s", type(problem).__name__)

    async def on_presence(self, message: Msg) -> None:
        """A gateway lives."""
        try:
            self._present.heard(_presences.decode(message.data), time.monotonic())
        except msgspec.DecodeError as bad:
            log.warning("presence: cannot be read: %s", bad)
