"""The API keys of one owner, a member or a service account, in SQL."""

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Key
from accounts.outbound.limit_columns import joined
from accounts.outbound.tables import api_keys


async def owned_keys(connection: AsyncConnection, organization_id: str, owner_id: str) -> list[Key]:
    """Those that have not been revoked, kept unchanged until the end of the transaction."""
    query = (
        select(api_keys)
        .where(
            api_keys.c.organization_id == organization_id,
            api_keys.c.owner_id == owner_id,
            api_keys.c.status != "revoked",
        )
        .order_by(api_keys.c.id)
    )
    found = await connection.execute(query.with_for_update())
    return [msgspec.convert(joined(row), Key) for row in found.mappings()]
