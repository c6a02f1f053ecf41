"""Find who is to own a key: the caller itself, or with `keys.manage` anybody who belongs to the organization."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.principal import Principal
from accounts.outbound.owners import hold_owner
from accounts.use_cases.authorize_caller import authorize
from common.contracts.directory import OwnerKind
from common.problems import Invalid


async def choose_owner(connection: AsyncConnection, caller: Principal, organization_id: str, owner_id: str) -> OwnerKind:
    """What the owner is; it stays active until the end of the transaction. Raises Forbidden, Invalid."""
    if owner_id != caller.id:
        await authorize(connection, caller, "keys.manage", organization_id)
    kind = await hold_owner(connection, organization_id, owner_id)
    if kind is None:
        wrong = {"field": "owner_id", "message": "is no active member or service account of this organization"}
        raise Invalid("Nobody in the organization can own the key by this id.", errors=[wrong])
    return kind
