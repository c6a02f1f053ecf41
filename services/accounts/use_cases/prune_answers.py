"""Forget the answers that were kept for repeats, once their time is up."""

import asyncio
import logging

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.outbound.idempotent_answers import PRUNED_AT_ONCE, prune

INTERVAL_SECONDS = 600.0

log = logging.getLogger(__name__)


async def keep_pruned(engine: AsyncEngine) -> None:
    """At once and then every ten minutes, until cancelled; on one replica, though it would be no harm on several."""
    while True:
        try:
            await prune_answers(engine)
        except (SQLAlchemyError, OSError) as away:
            log.warning("kept answers: not pruned, again later: %s", type(away).__name__)
        await asyncio.sleep(INTERVAL_SECONDS)


async def prune_answers(engine: AsyncEngine) -> int:
    """How many were forgotten; in small transactions."""
    count = 0
    while True:
        async with engine.begin() as connection:
            pruned = await prune(connection)
        count += pruned
        if pruned < PRUNED_AT_ONCE:
            return count
