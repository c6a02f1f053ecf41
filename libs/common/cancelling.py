"""Ending tasks for good."""

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_SECONDS = 1.0


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel and wait until all are over, however they end.

    A task that goes on is cancelled again after a second: before Python 3.12, `asyncio.wait_for` drops a cancellation that comes
    in the same turn of the loop as its result (https://github.com/python/cpython/issues/86296), and client libraries use it.
    """
    everything = list(tasks)
    pending = set(everything)
    try:
        while pending:
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=AGAIN_SECONDS)
    except asyncio.CancelledError:
        for task in pending:
            task.cancel()
        raise
    await asyncio.gather(*everything, return_exceptions=True)  # a failure that nobody looks at would be logged as forgotten
