"""Forget what is of no use any more once its time is up: answers that were kept for repeats, failed sign-ins, old addresses."""

import asyncio
import logging

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.domain.lock_out import FORGOTTEN_AFTER
from accounts.outbound.idempotent_answers import PRUNED_AT_ONCE, prune
from accounts.outbound.known_addresses import forget_addresses
from accounts.outbound.login_failures import forget_failures

INTERVAL_SECONDS = 600.0

log = logging.getLogger(__name__)


async def keep_forgetting(engine: AsyncEngine) -> None:
    """At once and then every ten minutes, until cancelled; on one replica, though it would be no harm on several."""
    while True:
        try:
            await forget_answers(engine)
            await forget_sign_ins(engine)
        except (SQLAlchemyError, OSError) as away:
            log.warning("leftovers: not forgotten, again later: %s", type(away).__name__)
        await asyncio.sleep(INTERVAL_SECONDS)


async def forget_answers(engine: AsyncEngine) -> int:
    """How many were forgotten; in small transactions."""
    count = 0
    while True:
        async with engine.begin() as connection:
            pruned = await prune(connection)
        count += pruned
        if pruned < PRUNED_AT_ONCE:
            return count


async def forget_sign_ins(engine: AsyncEngine) -> int:
    """How many rows were forgotten: counts of failures that have not changed for a day, and would begin anew anyway; addresses
    that nobody has signed in from for so long that they count as unknown.
    """
    async with engine.begin() as connection:
        return await forget_failures(connection, FORGOTTEN_AFTER) + await forget_addresses(connection)
