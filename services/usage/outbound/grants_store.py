"""Grants in the database: locked per scope and period, read together with everything a decision needs, written before they are said."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import class_row

from usage.outbound.ledger_store import Scope

# In the order in which a booking makes and locks rows, and by a transaction that holds no other: nobody waits in a circle.
ENSURE = """
INSERT INTO ledger (scope, scope_id, period)
SELECT * FROM unnest(%(scopes)s::text[], %(ids)s::text[], %(periods)s::text[]) AS asked(scope, scope_id, period)
WHERE NOT EXISTS (
    SELECT FROM ledger l WHERE l.scope = asked.scope AND l.scope_id = asked.scope_id AND l.period = asked.period
)
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING
"""

# The row of the ledger is the lock of its scope and period: the booking of a batch takes it too.
LOCK = """
SELECT scope, scope_id, period
FROM ledger JOIN unnest(%(scopes)s::text[], %(ids)s::text[], %(periods)s::text[]) AS asked(scope, scope_id, period)
    USING (scope, scope_id, period)
ORDER BY scope, scope_id, period
FOR UPDATE OF ledger
"""

# A statement of its own, so that it sees what was committed while the lock was awaited. It also sees rows that were made since the lock
# was taken: those are not locked, and somebody else may be deciding about them.
READ = """
SELECT
    l.scope, l.scope_id, l.period, l.spent_tokens, l.spent_nanousd,
    CASE l.scope WHEN 'project' THEN p.limit_version WHEN 'organization' THEN o.limit_version ELSE l.limit_version END
        AS limit_version,
    CASE l.scope
        WHEN 'project' THEN CASE length(l.period) WHEN 7 THEN p.monthly_tokens ELSE p.daily_tokens END
        WHEN 'organization' THEN CASE length(l.period) WHEN 7 THEN o.monthly_tokens ELSE o.daily_tokens END
        ELSE l.limit_tokens
    END AS limit_tokens,
    CASE l.scope
        WHEN 'project' THEN CASE length(l.period) WHEN 7 THEN p.monthly_cost_nanousd ELSE p.daily_cost_nanousd END
        WHEN 'organization' THEN CASE length(l.period) WHEN 7 THEN o.monthly_cost_nanousd ELSE o.daily_cost_nanousd END
        ELSE l.limit_nanousd
    END AS limit_nanousd,
    own.ask_seq, own.granted_tokens, own.granted_nanousd,
    coalesce(mine.tokens, 0) AS boot_tokens, coalesce(mine.nanousd, 0) AS boot_nanousd,
    others.held_tokens, others.held_nanousd,
    coalesce((SELECT closed FROM boots WHERE boots.boot = %(boot)s), false) AS boot_closed
FROM unnest(%(scopes)s::text[], %(ids)s::text[], %(periods)s::text[]) AS asked(scope, scope_id, period)
JOIN ledger l USING (scope, scope_id, period)
LEFT JOIN projects p ON l.scope = 'project' AND p.project_id = l.scope_id
LEFT JOIN organizations o ON l.scope = 'organization' AND o.organization_id = l.scope_id
LEFT JOIN grants own ON (own.scope, own.scope_id, own.period, own.boot) = (l.scope, l.scope_id, l.period, %(boot)s)
LEFT JOIN boot_spend mine ON (mine.scope, mine.scope_id, mine.period, mine.boot) = (l.scope, l.scope_id, l.period, %(boot)s)
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(greatest(0, g.granted_tokens - coalesce(s.tokens, 0))), 0)::bigint AS held_tokens,
        coalesce(sum(greatest(0, g.granted_nanousd - coalesce(s.nanousd, 0))), 0)::bigint AS held_nanousd
    FROM grants g
    LEFT JOIN boot_spend s USING (scope, scope_id, period, boot)
    LEFT JOIN boots b ON b.boot = g.boot
    WHERE g.scope = l.scope AND g.scope_id = l.scope_id AND g.period = l.period AND g.boot <> %(boot)s
        AND b.closed IS NOT TRUE
) AS others
"""

WRITE = """
INSERT INTO grants AS g (scope, scope_id, period, boot, gateway, granted_tokens, granted_nanousd, ask_seq)
SELECT scope, scope_id, period, %s, %s, tokens, nanousd, seq
FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
    AS decided(scope, scope_id, period, tokens, nanousd, seq)
ORDER BY scope, scope_id, period
ON CONFLICT (scope, scope_id, period, boot) DO UPDATE SET
    granted_tokens = excluded.granted_tokens, granted_nanousd = excluded.granted_nanousd, ask_seq = excluded.ask_seq,
    changed_at = now()
"""


# What gateways tell of the limits of keys, members and end users; the newest version stands, whoever asks.
TELL = """
UPDATE ledger l SET limit_version = told.version, limit_tokens = told.tokens, limit_nanousd = told.nanousd
FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
    AS told(scope, scope_id, period, version, tokens, nanousd)
WHERE (l.scope, l.scope_id, l.period) = (told.scope, told.scope_id, told.period)
    AND (l.limit_version IS NULL OR l.limit_version < told.version)
"""


@dataclass(frozen=True, slots=True)
class ToldLimits:
    """What an ask says of the limits of its scope."""

    scope: Scope
    version: int
    tokens: int | None
    nanousd: int | None


@dataclass(frozen=True, slots=True)
class ScopeBooks:
    """What the books say of a scope and period, for one boot; `limit_version` None = the scope is not known to us."""

    scope: str
    scope_id: str
    period: str
    spent_tokens: int
    spent_nanousd: int
    limit_version: int | None
    limit_tokens: int | None
    limit_nanousd: int | None
    ask_seq: int | None
    granted_tokens: int | None
    granted_nanousd: int | None
    boot_tokens: int
    boot_nanousd: int
    held_tokens: int
    held_nanousd: int
    boot_closed: bool = False


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A decided grant."""

    scope: Scope
    tokens: int | None
    nanousd: int | None
    seq: int


async def make_rows(connection: AsyncConnection, scopes: Collection[Scope]) -> None:
    """Make the ledger rows that are missing; to be committed before anything is locked."""
    await connection.execute(ENSURE, _names(scopes))


async def lock_books(connection: AsyncConnection, scopes: Collection[Scope], boot: str) -> dict[Scope, ScopeBooks]:
    """Lock the scopes until the end of the caller's transaction and read them; those that had no row to lock are left out."""
    names = {**_names(scopes), "boot": boot}
    async with connection.cursor(row_factory=class_row(ScopeBooks)) as cursor, connection.pipeline():
        locking = await connection.execute(LOCK, names)
        await cursor.execute(READ, names)
        locked = {(scope, scope_id, period) for scope, scope_id, period in await locking.fetchall()}
        found = {(books.scope, books.scope_id, books.period): books for books in await cursor.fetchall()}
    return {name: books for name, books in found.items() if name in locked}


def _names(scopes: Collection[Scope]) -> dict[str, object]:
    return dict(zip(("scopes", "ids", "periods"), map(list, zip(*sorted(scopes), strict=True)), strict=True))


async def write_grants(connection: AsyncConnection, gateway: str, boot: str, rows: Sequence[GrantRow]) -> None:
    """Store decided grants inside the caller's transaction."""
    if rows:
        columns = zip(*((*row.scope, row.tokens, row.nanousd, row.seq) for row in rows), strict=True)
        await connection.execute(WRITE, [boot, gateway, *map(list, columns)])


async def store_limits(connection: AsyncConnection, told: Sequence[ToldLimits]) -> None:
    """Remember limits inside the caller's transaction, under the lock of their scopes."""
    if told:
        columns = zip(*((*one.scope, one.version, one.tokens, one.nanousd) for one in told), strict=True)
        await connection.execute(TELL, [*map(list, columns)])
