"""Receipts: which numbers of each boot have arrived, compacted to ranges; a boot that is complete holds no grants any more."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection

from usage.domain.receipts import Receipt

# An envelope that only closes its boot has nothing to add to the ranges.
RECORD = """
INSERT INTO boots AS b (boot, gateway, received, close_at)
SELECT
    boot, max(gateway), coalesce(range_agg(int8range(first, last, '[]')) FILTER (WHERE last >= first), '{}'), max(close_at)
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[]) AS r(boot, gateway, first, last, close_at)
GROUP BY boot
ORDER BY boot
ON CONFLICT (boot) DO UPDATE SET
    received = b.received + excluded.received, close_at = coalesce(b.close_at, excluded.close_at), last_seen = now()
"""

RECENT = """
SELECT boot, contiguous, closed FROM boots WHERE last_seen > now() - make_interval(secs => %s) OR boot = ANY(%s)
"""

RELEASE = "UPDATE boots SET released_at = now() WHERE boot = %s AND NOT closed"

UNSPENT = """
SELECT
    coalesce(sum(greatest(0, g.granted_tokens - coalesce(s.tokens, 0))), 0)::bigint,
    coalesce(sum(greatest(0, g.granted_nanousd - coalesce(s.nanousd, 0))), 0)::bigint
FROM grants g LEFT JOIN boot_spend s USING (scope, scope_id, period, boot)
WHERE g.boot = %s
"""


@dataclass(frozen=True, slots=True)
class BootState:
    """How far a boot's events have arrived without a gap, and whether it is over."""

    boot: str
    contiguous: int
    closed: bool


async def record_receipts(connection: AsyncConnection, receipts: Sequence[Receipt]) -> None:
    """Add receipts inside the caller's transaction; repeats and overlaps change nothing."""
    if not receipts:
        return
    columns = zip(*((r.boot, r.gateway, r.first, r.last, r.close) for r in receipts), strict=True)
    await connection.execute(RECORD, [list(column) for column in columns])


async def recent_boots(connection: AsyncConnection, *, seconds: float, present: Sequence[str]) -> list[BootState]:
    """Boots that were heard of lately, or are present now."""
    cursor = await connection.execute(RECENT, (seconds, list(present)))
    return [BootState(*row) for row in await cursor.fetchall()]


async def release(connection: AsyncConnection, boot: str) -> tuple[int, int] | None:
    """Declare a boot dead for ever: (tokens, nano-USD) of grants that go back, None when it is unknown or over already."""
    # A boot that died before its first envelope has grants, but no receipts yet.
    await connection.execute(
        "INSERT INTO boots (boot, gateway, received) SELECT boot, max(gateway), '{}' FROM grants WHERE boot = %s GROUP BY boot "
        "ON CONFLICT DO NOTHING",
        (boot,),
    )
    if (await connection.execute(RELEASE, (boot,))).rowcount == 0:
        return None
    unspent = await (await connection.execute(UNSPENT, (boot,))).fetchone()
    return (unspent[0], unspent[1]) if unspent else (0, 0)
