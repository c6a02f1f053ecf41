"""The one place that decides whether a caller may do something; what it does not allow is denied."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Key, Project
from accounts.domain.principal import Principal
from accounts.outbound.keys import find_key
from accounts.outbound.members import role_of
from accounts.outbound.projects import find_project
from accounts.outbound.service_accounts import service_account_role
from accounts.outbound.users import is_active
from common.contracts.roles import PERMISSIONS, Permission, Role, permits
from common.problems import Forbidden, NotFound, PreconditionFailed, Unauthenticated


async def authorize(
    connection: AsyncConnection, caller: Principal, permission: Permission, organization_id: str, *others: Permission
) -> Permission:
    """The first of the permissions that the caller has in the organization.

    Asks the database, not the token, so that a new membership counts at once and an ended one no longer. Raises NotFound for
    strangers (the same as for what does not exist) and Forbidden when neither role nor token suffices.
    """
    role = await _role_in(connection, caller, organization_id)
    if role is None:
        raise missing()
    for wanted in (permission, *others):
        if permits(role, wanted) and (caller.scopes is None or wanted in caller.scopes):
            return wanted
    if permits(role, permission):
        raise Forbidden(f"This token is not meant for {permission}.")
    raise Forbidden(f"Your role in this organization, {role}, does not include {permission}.")


async def _role_in(connection: AsyncConnection, caller: Principal, organization_id: str) -> Role | None:
    match caller.kind:
        case "user":
            return await role_of(connection, caller.subject, organization_id)
        case "service_account":
            return await service_account_role(connection, caller.subject, organization_id)
        case "system":
            return "owner"
        case "anonymous":
            return None


async def permissions_in(connection: AsyncConnection, caller: Principal, organization_id: str) -> frozenset[Permission]:
    """All that the caller may do in the organization with the token it came with; nothing for strangers."""
    role = await _role_in(connection, caller, organization_id)
    granted = frozenset() if role is None else PERMISSIONS[role]
    return granted if caller.scopes is None else granted & caller.scopes


async def authorize_user(connection: AsyncConnection, caller: Principal) -> None:
    """For what every person may do with their own; a token with scopes is not that person.

    Raises Forbidden for anything but a person, Unauthenticated when the user is gone or suspended.
    """
    if caller.kind != "user" or caller.scopes is not None:
        raise Forbidden("Only a person who has signed in may do this.")
    if not await is_active(connection, caller.subject):
        raise Unauthenticated("Sign in again.")


async def authorize_operator(connection: AsyncConnection, caller: Principal) -> None:
    """For what concerns the installation. Raises Forbidden, Unauthenticated."""
    if caller.kind == "system":
        return
    await authorize_user(connection, caller)
    if not caller.operator:
        raise Forbidden("Only an operator of this installation may do this.")


async def project_for(
    connection: AsyncConnection,
    caller: Principal,
    permission: Permission,
    project_id: str,
    *others: Permission,
    locked: bool = False,
) -> Project:
    """The project, if the caller has one of the permissions in its organization; else NotFound or Forbidden."""
    project = await find_project(connection, project_id, locked=locked)
    if project is None:
        raise missing()
    await authorize(connection, caller, permission, project.organization_id, *others)
    return project


async def key_for(
    connection: AsyncConnection, caller: Principal, project_id: str, key_id: str, *, to_change: bool = False
) -> Key:
    """The key, if it belongs to the project and the caller may read it, or change it: everybody's with `keys.manage`, only
    one's own with `keys.issue`. `to_change` keeps it unchanged until the end of the transaction. Raises NotFound, Forbidden.
    """
    project = await find_project(connection, project_id)
    if project is None:
        raise missing()
    wanted: tuple[Permission, ...] = ("keys.manage", "keys.issue") if to_change else ("keys.read",)
    permission = await authorize(connection, caller, wanted[0], project.organization_id, *wanted[1:])
    key = await find_key(connection, project_id, key_id, locked=to_change)
    if key is None:
        raise missing()
    if permission == "keys.issue" and key.owner_id != caller.id:
        raise Forbidden("This key belongs to somebody else; your role covers only your own.")
    return key


def missing() -> NotFound:
    """One answer for what is not there and for what is somebody else's."""
    return NotFound("There is no such object, or it is not yours.")


def require_version(present: int, expected: int | None) -> None:
    """If-Match: raises PreconditionFailed when the object has changed since the caller read it; None = no condition."""
    if expected is not None and expected != present:
        raise PreconditionFailed("The object has changed since you read it; read it again.", version=present)
