"""What guards every change of who belongs to an organization: one at a time, no more than one has oneself, always an owner."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Member
from accounts.domain.principal import Principal
from accounts.outbound.members import find_member, has_owner
from accounts.outbound.organizations import find_organization
from accounts.use_cases.authorize_caller import authorize, missing, permissions_in
from common.contracts.roles import PERMISSIONS, Permission, Role
from common.problems import Conflict, Forbidden


async def authorize_alone(connection: AsyncConnection, caller: Principal, organization_id: str, *permissions: Permission) -> None:
    """Require all of the permissions, and let nobody else change the members until the end of the transaction.

    Asked before the lock, so that strangers cannot hold it, and again with it, since whoever held it before may have changed
    the caller's role. Raises NotFound, Forbidden.
    """
    for permission in permissions:
        await authorize(connection, caller, permission, organization_id)
    await find_organization(connection, organization_id, locked=True)
    for permission in permissions:
        await authorize(connection, caller, permission, organization_id)


async def present_member(connection: AsyncConnection, organization_id: str, user_id: str) -> Member:
    """The membership, locked; raises NotFound for somebody who never was a member."""
    member = await find_member(connection, organization_id, user_id, locked=True)
    if member is None:
        raise missing()
    return member


async def require_role_to_give(connection: AsyncConnection, caller: Principal, organization_id: str, role: Role) -> None:
    """Nobody gives a role with permissions that they lack, or that their token lacks. Raises Forbidden."""
    if role == "owner":
        await authorize(connection, caller, "owners.manage", organization_id)
    lacking = PERMISSIONS[role] - await permissions_in(connection, caller, organization_id)
    if lacking:
        raise Forbidden(f"The role {role} includes what you may not do yourself: {', '.join(sorted(lacking))}.")


async def require_owner_left(connection: AsyncConnection, before: Member) -> None:
    """After a change of somebody: raises Conflict when that was the last owner who can act, which undoes the transaction."""
    was_one = before.role == "owner" and before.record().status == "active"
    if was_one and not await has_owner(connection, before.organization_id):
        raise Conflict("An organization keeps at least one active owner; make somebody else one first.")
