"""Who may own keys in an organization: its active members and service accounts."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.outbound.tables import memberships, service_accounts, users
from common.contracts.directory import OwnerKind


async def hold_owner(connection: AsyncConnection, organization_id: str, owner_id: str) -> OwnerKind | None:
    """What the active owner is, None when there is no such one; it stays so until the end of the transaction.

    Taken before a key is locked: whoever ends a membership locks that first, then its keys.
    """
    member = (
        select(memberships.c.user_id)
        .join(users, users.c.id == memberships.c.user_id)
        .where(
            memberships.c.organization_id == organization_id,
            memberships.c.user_id == owner_id,
            memberships.c.status == "active",
            users.c.status == "active",
        )
        .with_for_update(read=True, of=memberships)
    )
    if (await connection.execute(member)).one_or_none() is not None:
        return "member"
    service_account = (
        select(service_accounts.c.id)
        .where(
            service_accounts.c.organization_id == organization_id,
            service_accounts.c.id == owner_id,
            service_accounts.c.status == "active",
        )
        .with_for_update(read=True)
    )
    return None if (await connection.execute(service_account)).one_or_none() is None else "service_account"
