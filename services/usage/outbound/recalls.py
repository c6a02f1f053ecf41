"""Tells the gateways that somebody needs what others may hold and not need."""

import logging

import msgspec
from nats.errors import Error

from common.contracts.grants import Recall
from common.contracts.rates import RatesRecall
from common.contracts.subjects import GRANTS_RECALL, RATES_RECALL
from usage.outbound.bus import Bus, NotConnected

log = logging.getLogger(__name__)


class Recalls:
    """Best effort: whoever waits asks again, and then it is said again."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def of_grants(self, recall: Recall) -> None:
        """Publish it; what cannot be said is passed over."""
        await self._say(GRANTS_RECALL, recall)

    async def of_rates(self, recall: RatesRecall) -> None:
        """Publish it; what cannot be said is passed over."""
        await self._say(RATES_RECALL, recall)

    async def _say(self, subject: str, recall: Recall | RatesRecall) -> None:
        try:
            await self._bus.client.publish(subject, msgspec.json.encode(recall))
        except (Error, NotConnected) as problem:
            log.info("a recall could not be said: %s", type(problem).__name__, extra={"subject": subject})
