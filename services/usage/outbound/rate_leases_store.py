"""Rate leases in the database: locked per scope, read with what all others have used and hold, written before they are said."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import class_row

from usage.domain.rate_leases import COUNTED_SECONDS, SLOTS_SECONDS, VALID_SECONDS

RateName = tuple[str, str]
"""scope, scope_id."""

# Sorted, so that two messages never wait for each other in a circle; the first number keeps these locks apart from others.
LOCK = """
SELECT pg_advisory_xact_lock(1919, key) FROM (
    SELECT DISTINCT hashtext(scope || '/' || scope_id) AS key
    FROM unnest(%(scopes)s::text[], %(ids)s::text[]) AS asked(scope, scope_id)
    ORDER BY 1
) AS sorted
"""

READ = """
SELECT
    asked.scope, asked.scope_id, own.ask_seq, newest.limit_version, newest.limit_requests, newest.limit_tokens, newest.limit_slots,
    coalesce(others.requests, 0)::bigint AS others_requests, coalesce(others.tokens, 0)::bigint AS others_tokens,
    coalesce(others.slots, 0)::bigint AS others_slots, coalesce(others.idle_requests, 0)::bigint AS idle_requests,
    coalesce(others.idle_tokens, 0)::bigint AS idle_tokens, coalesce(others.idle_slots, 0)::bigint AS idle_slots
FROM unnest(%(scopes)s::text[], %(ids)s::text[]) AS asked(scope, scope_id)
LEFT JOIN rate_leases own ON (own.scope, own.scope_id, own.boot) = (asked.scope, asked.scope_id, %(boot)s)
LEFT JOIN LATERAL (
    SELECT r.limit_version, r.limit_requests, r.limit_tokens, r.limit_slots FROM rate_leases r
    WHERE (r.scope, r.scope_id) = (asked.scope, asked.scope_id)
    ORDER BY r.limit_version DESC LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    SELECT sum(r.used_requests + r.lease_requests) AS requests, sum(r.used_tokens + r.lease_tokens) AS tokens,
        sum(r.used_slots + r.lease_slots) FILTER (WHERE r.heard_at > clock_timestamp() - make_interval(secs => %(slots)s)) AS slots,
        sum(r.lease_requests) FILTER (WHERE boot.lives) AS idle_requests,
        sum(r.lease_tokens) FILTER (WHERE boot.lives) AS idle_tokens,
        sum(r.used_slots + r.lease_slots) FILTER (WHERE boot.lives) AS idle_slots
    FROM rate_leases r
    CROSS JOIN LATERAL (SELECT r.heard_at > clock_timestamp() - make_interval(secs => %(valid)s) AS lives) AS boot
    WHERE (r.scope, r.scope_id) = (asked.scope, asked.scope_id) AND r.boot <> %(boot)s
        AND r.heard_at > clock_timestamp() - make_interval(secs => %(counted)s)
) AS others ON true
"""

WRITE = """
INSERT INTO rate_leases AS r (
    scope, scope_id, boot, ask_seq, limit_version, limit_requests, limit_tokens, limit_slots, used_requests, used_tokens, used_slots,
    lease_requests, lease_tokens, lease_slots, heard_at
)
SELECT scope, scope_id, %s, seq, version, limit_requests, limit_tokens, limit_slots, used_requests, used_tokens, used_slots,
    lease_requests, lease_tokens, lease_slots, clock_timestamp()
FROM unnest(
    %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]
) AS decided(
    scope, scope_id, seq, version, limit_requests, limit_tokens, limit_slots, used_requests, used_tokens, used_slots,
    lease_requests, lease_tokens, lease_slots
)
ORDER BY scope, scope_id
ON CONFLICT (scope, scope_id, boot) DO UPDATE SET
    ask_seq = excluded.ask_seq, limit_version = excluded.limit_version, limit_requests = excluded.limit_requests,
    limit_tokens = excluded.limit_tokens, limit_slots = excluded.limit_slots, used_requests = excluded.used_requests,
    used_tokens = excluded.used_tokens, used_slots = excluded.used_slots, lease_requests = excluded.lease_requests,
    lease_tokens = excluded.lease_tokens, lease_slots = excluded.lease_slots, heard_at = excluded.heard_at
"""

# The minute is what the index is on. Past rows that are locked: whoever asks just now is not silent.
FORGET = """
DELETE FROM rate_leases WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM rate_leases
    WHERE heard_minute < now() - make_interval(secs => %(counted)s) AND heard_at < now() - make_interval(secs => %(counted)s)
    LIMIT %(most)s
    FOR UPDATE SKIP LOCKED
))
"""


@dataclass(frozen=True, slots=True)
class RateBooks:
    """What is known of a scope, for one boot; `ask_seq` and `limit_version` None = nothing yet.

    `others_*`: used and leased by all other boots; `idle_*`: so much of it may come back, for it is that of boots that live.
    """

    scope: str
    scope_id: str
    ask_seq: int | None
    limit_version: int | None
    limit_requests: int | None
    limit_tokens: int | None
    limit_slots: int | None
    others_requests: int
    others_tokens: int
    others_slots: int
    idle_requests: int
    idle_tokens: int
    idle_slots: int


@dataclass(frozen=True, slots=True)
class RateRow:
    """A decided lease, with what its boot has told."""

    scope: str
    scope_id: str
    seq: int
    limit_version: int
    limit_requests: int | None
    limit_tokens: int | None
    limit_slots: int | None
    used_requests: int
    used_tokens: int
    used_slots: int
    lease_requests: int
    lease_tokens: int
    lease_slots: int


async def lock_rates(connection: AsyncConnection, names: Sequence[RateName], boot: str) -> dict[RateName, RateBooks]:
    """Lock the scopes until the end of the caller's transaction and read them."""
    scopes, ids = zip(*sorted(set(names)), strict=True)
    values = {
        "scopes": list(scopes),
        "ids": list(ids),
        "boot": boot,
        "slots": SLOTS_SECONDS,
        "counted": COUNTED_SECONDS,
        "valid": VALID_SECONDS,
    }
    async with connection.cursor(row_factory=class_row(RateBooks)) as cursor, connection.pipeline():
        await connection.execute(LOCK, values)
        await cursor.execute(READ, values)
        return {(books.scope, books.scope_id): books for books in await cursor.fetchall()}


async def write_rates(connection: AsyncConnection, boot: str, rows: Sequence[RateRow]) -> None:
    """Store decided leases inside the caller's transaction."""
    if rows:
        names = RateRow.__slots__
        await connection.execute(WRITE, [boot, *([getattr(row, name) for row in rows] for name in names)])


async def forget_silent(connection: AsyncConnection, most: int) -> int:
    """Delete at most so many rows that can count no more, inside the caller's transaction; how many there were."""
    return (await connection.execute(FORGET, {"counted": COUNTED_SECONDS, "most": most})).rowcount
