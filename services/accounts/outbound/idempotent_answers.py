"""Claims on Idempotency-Keys and the sealed answers under them, in SQL."""

import msgspec
from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.idempotency import KEPT_FOR, LOST_AFTER, Claim
from accounts.outbound.tables import idempotent_answers as table

PRUNED_AT_ONCE = 5_000


class Kept(msgspec.Struct, frozen=True):
    """What is under a key already; without an answer the first request still runs."""

    request_digest: str
    sealed: bytes | None


async def claim(connection: AsyncConnection, caller: str, key_digest: str, request_digest: str) -> Claim | None:
    """The claim on a key that is free, or whose time is up, or whose first request was lost; None when it is taken."""
    fresh = insert(table).values(caller_id=caller, key_digest=key_digest, request_digest=request_digest)
    lost = and_(
        table.c.sealed.is_(None),
        table.c.created_at < func.now() - LOST_AFTER,
        table.c.request_digest == fresh.excluded.request_digest,
    )
    taken = fresh.on_conflict_do_update(
        index_elements=[table.c.caller_id, table.c.key_digest],
        set_={"request_digest": request_digest, "status": None, "sealed": None, "created_at": func.now()},
        where=or_(lost, table.c.created_at < func.now() - KEPT_FOR),
    )
    since = (await connection.execute(taken.returning(table.c.created_at))).scalar_one_or_none()
    return None if since is None else Claim(caller, key_digest, since)


async def find_kept(connection: AsyncConnection, caller: str, key_digest: str) -> Kept | None:
    """What is under the key; None when it has been released a moment ago."""
    found = await connection.execute(
        select(table.c.request_digest, table.c.sealed).where(table.c.caller_id == caller, table.c.key_digest == key_digest)
    )
    row = found.one_or_none()
    return None if row is None else Kept(row.request_digest, row.sealed)


async def keep(connection: AsyncConnection, held: Claim, status: int, sealed: bytes) -> None:
    """Put the answer under the key, unless somebody has taken it over."""
    await connection.execute(update(table).where(*_is(held)).values(status=status, sealed=sealed))


async def release(connection: AsyncConnection, held: Claim) -> None:
    """Free the key, unless somebody has taken it over."""
    await connection.execute(delete(table).where(*_is(held)))


async def prune(connection: AsyncConnection) -> int:
    """Delete the oldest answers whose time is up; how many, at most PRUNED_AT_ONCE."""
    old = select(table.c.caller_id, table.c.key_digest).where(table.c.created_at < func.now() - KEPT_FOR)
    some = old.order_by(table.c.created_at).limit(PRUNED_AT_ONCE).with_for_update(skip_locked=True).subquery()
    done = await connection.execute(
        delete(table).where(table.c.caller_id == some.c.caller_id, table.c.key_digest == some.c.key_digest)
    )
    return done.rowcount


def _is(held: Claim) -> tuple[ColumnElement[bool], ...]:
    return (
        table.c.caller_id == held.caller,
        table.c.key_digest == held.key_digest,
        table.c.created_at == held.since,
        table.c.sealed.is_(None),
    )
