"""The outbox: directory records written in the transaction of the change that they announce."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Record, entry_of
from accounts.outbound.tables import outbox

CHANNEL = "accounts_outbox"
"""NOTIFY channel that wakes the relay at the commit, whichever replica committed."""


class OutboxRow(msgspec.Struct, frozen=True):
    """A record waiting to be put."""

    id: int
    entry: str
    version: int
    payload: bytes


async def announce(connection: AsyncConnection, *records: Record) -> None:
    """Write records into the outbox; they leave with the caller's commit, or not at all."""
    if not records:
        return
    rows = [{"entry": entry_of(record), "version": record.version, "payload": msgspec.json.encode(record)} for record in records]
    await connection.execute(insert(outbox), rows)
    await connection.execute(text(f"NOTIFY {CHANNEL}"))


async def waiting(connection: AsyncConnection, limit: int) -> list[OutboxRow]:
    """The oldest rows. Rows of one object are in the order of their versions: its row lock was held until the commit."""
    rows = await connection.execute(
        select(outbox.c.id, outbox.c.entry, outbox.c.version, outbox.c.payload).order_by(outbox.c.id).limit(limit)
    )
    return [OutboxRow(row.id, row.entry, row.version, bytes(row.payload)) for row in rows]


async def remove(connection: AsyncConnection, identifiers: Sequence[int]) -> None:
    """Delete rows whose records the bus has acknowledged."""
    await connection.execute(delete(outbox).where(outbox.c.id.in_(identifiers)))


async def backlog(connection: AsyncConnection) -> int:
    """How many records wait."""
    return (await connection.execute(select(func.count()).select_from(outbox))).scalar_one()
