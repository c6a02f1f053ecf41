"""Tell each gateway boot every second up to which number its events are committed: then it may delete them."""

import asyncio
import logging
from collections.abc import Callable

import msgspec
from nats.errors import Error

from common.contracts.events import Watermark
from common.contracts.subjects import WATERMARKS
from usage.outbound.boots_store import BootState, recent_boots
from usage.outbound.bus import Bus
from usage.outbound.database import TRANSIENT, Database

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0
SPOKEN_OF_SECONDS = 600.0


class PublishWatermarks:
    """Recomputed from the rows every time: nothing is remembered, so nothing can be wrong after a restart."""

    def __init__(self, database: Database, bus: Bus, present: Callable[[], list[str]]) -> None:
        self._database, self._bus, self._present = database, bus, present

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.say()
            except (*TRANSIENT, Error) as problem:
                log.warning("watermarks: not said: %s", type(problem).__name__)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def say(self) -> list[BootState]:
        """Publish once; returns what was said. Raises one of database.TRANSIENT or a NATS error."""
        client = self._bus.client
        async with self._database.transaction() as connection:
            states = await recent_boots(connection, seconds=SPOKEN_OF_SECONDS, present=self._present())
        for state in states:
            watermark = Watermark(boot=state.boot, contiguous=state.contiguous, closed=state.closed)
            await client.publish(f"{WATERMARKS}.{state.boot}", msgspec.json.encode(watermark))
        return states
