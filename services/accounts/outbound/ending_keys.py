"""Keys that end soon, by expiry or by the schedule of their rotation, and whom to tell."""

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import and_, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Key
from accounts.outbound.limit_columns import joined
from accounts.outbound.tables import api_keys, memberships, users

LONGEST_OVERLAP = timedelta(days=31)


async def ending_keys(connection: AsyncConnection, last_id: str, limit: int, now: datetime, horizon: timedelta) -> list[Key]:
    """The next chunk of the active keys that expire within the horizon, or are to be rotated within it or should have been.

    Those that were stopped long ago are left out: all has been said of them.
    """
    key = api_keys.c
    due = func.coalesce(key.rotated_at, key.created_at) + func.make_interval(0, 0, 0, key.rotate_days)
    unfinished = or_(due > now - LONGEST_OVERLAP, key.secrets[0]["not_after"].astext.is_(None))
    query = select(api_keys).where(
        key.id > last_id,
        key.status == "active",
        or_(key.expires_at.between(now, now + horizon), and_(key.rotate_days.is_not(None), due <= now + horizon, unfinished)),
    )
    found = await connection.execute(query.order_by(key.id).limit(limit))
    return [msgspec.convert(joined(row), Key) for row in found.mappings()]


async def addresses_of(connection: AsyncConnection, owners: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The email addresses of those (organization, user) that are active members."""
    place = tuple_(memberships.c.organization_id, memberships.c.user_id)
    found = await connection.execute(
        select(memberships.c.organization_id, memberships.c.user_id, users.c.email)
        .join(users, users.c.id == memberships.c.user_id)
        .where(place.in_(list(owners)), memberships.c.status == "active", users.c.status == "active")
    )
    return {(row.organization_id, row.user_id): row.email for row in found}
