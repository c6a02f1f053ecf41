"""Where users have signed in from with success, in SQL."""

from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.outbound.tables import known_addresses

KNOWN_FOR = timedelta(days=90)


async def remember_address(connection: AsyncConnection, user_id: str, address: str) -> None:
    """The user has just proved to be there."""
    new = insert(known_addresses).values(user_id=user_id, address=address, last_at=func.now())
    await connection.execute(new.on_conflict_do_update(index_elements=["user_id", "address"], set_={"last_at": func.now()}))


async def is_known_address(connection: AsyncConnection, user_id: str, address: str) -> bool:
    """Whether the user has signed in from there in the last 90 days."""
    found = await connection.execute(
        select(known_addresses.c.address).where(
            known_addresses.c.user_id == user_id,
            known_addresses.c.address == address,
            known_addresses.c.last_at > func.now() - KNOWN_FOR,
        )
    )
    return found.one_or_none() is not None


async def forget_addresses(connection: AsyncConnection) -> int:
    """Delete those that are no longer known; how many there were."""
    forgotten = delete(known_addresses).where(known_addresses.c.last_at < func.now() - KNOWN_FOR)
    return (await connection.execute(forgotten)).rowcount
