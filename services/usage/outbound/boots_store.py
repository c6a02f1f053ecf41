"""Receipts: which numbers of each boot have arrived, compacted to ranges; a boot that is complete holds no grants any more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

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

# A boot that is present and unknown may have been known: the database has been restored to an earlier state.
RECENT = """
SELECT boot, contiguous, closed FROM boots WHERE last_seen > now() - make_interval(secs => %(seconds)s) OR boot = ANY(%(present)s)
UNION ALL
SELECT boot, 0, false FROM unnest(%(present)s::text[]) AS p(boot) WHERE NOT EXISTS (SELECT FROM boots b WHERE b.boot = p.boot)
"""

# A boot that died before its first envelope has grants, but no receipts yet.
KNOWN = """
WITH asked AS (SELECT boot, max(gateway) AS gateway, max(changed_at) AS changed_at FROM grants GROUP BY boot)
SELECT boot, coalesce(b.gateway, a.gateway) AS gateway, greatest(b.last_seen, a.changed_at) AS heard_at
FROM boots b FULL JOIN asked a USING (boot)
WHERE b.closed IS NOT TRUE
"""

OPEN = f"""
WITH known AS ({KNOWN}), unspent AS (
    SELECT boot, g.scope, count(*) AS promises
    FROM grants g LEFT JOIN boot_spend s USING (scope, scope_id, period, boot)
    WHERE g.granted_tokens > coalesce(s.tokens, 0) OR g.granted_nanousd > coalesce(s.nanousd, 0)
    GROUP BY boot, g.scope
)
SELECT boot, gateway, heard_at, coalesce(jsonb_object_agg(u.scope, u.promises) FILTER (WHERE u.scope IS NOT NULL), '{{}}') AS unspent
FROM known LEFT JOIN unspent u USING (boot)
GROUP BY boot, gateway, heard_at
ORDER BY heard_at, boot
"""  # noqa: S608 - our own text

HEARD = """
SELECT b.closed, extract(epoch FROM now() - greatest(b.last_seen, g.changed_at))::float
FROM (SELECT max(changed_at) AS changed_at FROM grants WHERE boot = %(boot)s) AS g
LEFT JOIN boots b ON b.boot = %(boot)s
WHERE b.boot IS NOT NULL OR g.changed_at IS NOT NULL
"""

RELEASE = """
INSERT INTO boots AS b (boot, gateway, received, released_at, last_seen)
SELECT %(boot)s, coalesce(max(gateway), ''), '{}', now(), coalesce(max(changed_at), now()) FROM grants WHERE boot = %(boot)s
ON CONFLICT (boot) DO UPDATE SET released_at = coalesce(b.released_at, now())
"""

UNSPENT = """
SELECT * FROM (
    SELECT g.scope, g.scope_id, g.period,
        greatest(0, g.granted_tokens - coalesce(s.tokens, 0))::bigint AS tokens,
        greatest(0, g.granted_nanousd - coalesce(s.nanousd, 0))::bigint AS nanousd
    FROM grants g LEFT JOIN boot_spend s USING (scope, scope_id, period, boot)
    WHERE g.boot = %s
) AS unspent
WHERE tokens > 0 OR nanousd > 0
ORDER BY scope, scope_id, period
"""


@dataclass(frozen=True, slots=True)
class BootState:
    """How far a boot's events have arrived without a gap, and whether it is over."""

    boot: str
    contiguous: int
    closed: bool


@dataclass(frozen=True, slots=True)
class OpenBoot:
    """A boot that is not closed; `unspent`: for how many scopes and periods it holds more than it has spent, by kind of scope."""

    boot: str
    gateway: str
    heard_at: datetime
    unspent: dict[str, int]


@dataclass(frozen=True, slots=True)
class Unspent:
    """What a boot was granted of a scope in a period and has not spent."""

    scope: str
    scope_id: str
    period: str
    tokens: int
    nanousd: int


async def record_receipts(connection: AsyncConnection, receipts: Sequence[Receipt]) -> None:
    """Add receipts inside the caller's transaction; repeats and overlaps change nothing."""
    if not receipts:
        return
    columns = zip(*((r.boot, r.gateway, r.first, r.last, r.close) for r in receipts), strict=True)
    await connection.execute(RECORD, [list(column) for column in columns])


async def recent_boots(connection: AsyncConnection, *, seconds: float, present: Sequence[str]) -> list[BootState]:
    """Boots that were heard of lately, or are present now, also if nothing of them has come."""
    cursor = await connection.execute(RECENT, {"seconds": seconds, "present": list(present)})
    return [BootState(*row) for row in await cursor.fetchall()]


async def open_boots(connection: AsyncConnection) -> list[OpenBoot]:
    """All boots that may still spend, the longest unheard first."""
    async with connection.cursor(row_factory=class_row(OpenBoot)) as cursor:
        await cursor.execute(OPEN)
        return await cursor.fetchall()


async def silent_for(connection: AsyncConnection, boot: str) -> float | None:
    """Seconds since something was heard of a boot; None when it is unknown, or closed."""
    found = await (await connection.execute(HEARD, {"boot": boot})).fetchone()
    return None if found is None or found[0] else found[1]


async def release(connection: AsyncConnection, boot: str) -> list[Unspent]:
    """Declare a boot dead for ever, inside the caller's transaction; what of its grants goes back."""
    await connection.execute(RELEASE, {"boot": boot})
    async with connection.cursor(row_factory=class_row(Unspent)) as cursor:
        await cursor.execute(UNSPENT, (boot,))
        return await cursor.fetchall()
