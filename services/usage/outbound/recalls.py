"""Tells the gateways that somebody needs budget that others may hold."""

import logging

import msgspec
from nats.errors import Error

from common.contracts.grants import Recall
from common.contracts.subjects import GRANTS_RECALL
from usage.outbound.bus import Bus, NotConnected

log = logging.getLogger(__name__)


class Recalls:
    """Best effort: whoever waits asks again, and then it is said again."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def say(self, recall: Recall) -> None:
        """Publish it; what cannot be said is passed over."""
        try:
            await self._bus.client.publish(GRANTS_RECALL, msgspec.json.encode(recall))
        except (Error, NotConnected) as problem:
            log.info("grants: a recall could not be said: %s", type(problem).__name__)
