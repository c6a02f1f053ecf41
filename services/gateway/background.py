"""Long-running tasks of the process: one that fails is logged and started again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from common.cancelling import cancel_all

log = logging.getLogger(__name__)

RESTART_SECONDS = 1.0


class Background:
    """Long-running tasks; one that fails is logged and started again."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run it until `stop`."""
        task = asyncio.create_task(self._keep(name, run), name=name)
        self._tasks.add(task)

    @staticmethod
    async def _keep(name: str, run: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await run()
            except Exception:
                log.exception("background task failed", extra={"task": name})
            else:
                return
            await asyncio.sleep(RESTART_SECONDS)

    async def stop(self) -> None:
        """Cancel all and wait."""
        await cancel_all(self._tasks)
        self._tasks.clear()
