"""Confirm a change: wait a moment until the gateways have applied it, and say on how many it is effective."""

import asyncio
import time

from accounts.domain.objects import Record, entry_of
from accounts.domain.presence import Effective
from accounts.outbound.bus import BusAway
from accounts.use_cases.context import Context

ISSUED_SECONDS = 0.25
REVOKED_SECONDS = 1.0
STEP_SECONDS = 0.004


async def confirm_change(context: Context, record: Record, within_seconds: float) -> Effective:
    """Never raises and never takes longer than that: the change is committed and will arrive, whatever is away at the moment."""
    started = time.monotonic()
    gateways = acknowledged = 0
    pending = True
    try:
        async with asyncio.timeout(within_seconds):
            sequence = await _sequence_of(context, record)
            created = await context.bucket.created()
            while True:
                gateways, acknowledged = context.presence.standing(created, sequence, time.monotonic())
                pending = acknowledged < gateways
                if not pending:
                    break
                await asyncio.sleep(STEP_SECONDS)
    except (TimeoutError, BusAway):
        pass  # said in the answer: pending
    return Effective(gateways, acknowledged, round((time.monotonic() - started) * 1000), pending)


async def _sequence_of(context: Context, record: Record) -> int:
    """The sequence at which the bucket holds this version or a newer one; the relay may be in another replica."""
    entry, wait = entry_of(record), STEP_SECONDS / 2
    while True:
        stored = await context.bucket.read(entry)
        if stored is not None and stored.version >= record.version:
            return stored.sequence
        await asyncio.sleep(wait)
        wait = min(wait * 1.5, 0.05)
