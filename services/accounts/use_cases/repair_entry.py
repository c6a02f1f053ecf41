"""Repair one entry of the directory, if the bucket really differs from the database."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.domain.directory_drift import Drift, closed_for_ever, closings, decoded, drift_of, newest_limits
from accounts.domain.directory_snapshot import ABSENT
from accounts.domain.objects import Record
from accounts.domain.principal import SYSTEM
from accounts.outbound import metrics
from accounts.outbound.audit import note
from accounts.outbound.directory_bucket import DirectoryBucket
from accounts.outbound.directory_entries import is_waiting, locked_row, overtake
from accounts.outbound.directory_rows import Announced
from accounts.outbound.outbox import announce


async def repair_entry(
    engine: AsyncEngine, bucket: DirectoryBucket, entry: str, *, repair: bool = True
) -> tuple[Drift | None, bool]:
    """Its drift, None for none, and whether it has been repaired; without `repair` it is only looked at. Raises BusAway.

    The row is locked first and nothing of it waits in the outbox, so the bucket must hold exactly the row's record; a fresh
    change comes before the look or after the repair. What cannot be repaired is an entry that is no record of ours.
    """
    async with engine.begin() as connection:
        row = await locked_row(connection, entry)
        if await is_waiting(connection, entry):
            return None, False
        held, body = await bucket.read_record(entry) or (ABSENT, b"")
        drift = drift_of(None if row is None else row.record(), held, body)
        if drift is None or not repair:
            return drift, False
        repaired = await _repaired(connection, entry, drift, row, held.version, body)
        if repaired is None:
            return drift, False
        await announce(connection, repaired)
        await _note(connection, entry, drift, held.version, repaired)
    metrics.DIRECTORY_REPAIRS.labels(drift).inc()
    return drift, True


async def _repaired(
    connection: AsyncConnection, entry: str, drift: Drift, row: Announced | None, held: int, body: bytes
) -> Record | None:
    """The record to announce."""
    ahead = decoded(entry, body)
    if row is None:
        return None if ahead is None else closed_for_ever(ahead)
    if drift == "newer":
        changes = {} if ahead is None else {**closings(row, ahead), **newest_limits(row, ahead)}
        row = await overtake(connection, entry, held + 1, **changes)
    return None if row is None else row.record()


async def _note(connection: AsyncConnection, entry: str, drift: Drift, held: int, repaired: Record) -> None:
    """The object by its identifier: an entry may hold a key's lookup."""
    names: dict[str, Any] = {
        name: getattr(repaired, name, None) for name in ("key_id", "project_id", "member_id", "organization_id")
    }
    await note(
        connection,
        SYSTEM,
        "directory.repaired",
        next(identifier for identifier in names.values() if identifier is not None),
        organization_id=repaired.organization_id,
        after={
            "object": entry.partition(".")[0],
            "drift": drift,
            "status": repaired.status,
            "held_version": held,
            "announced_version": repaired.version,
        },
    )
