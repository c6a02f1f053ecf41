"""The one place that decides whether a caller may do something; what it does not allow is denied."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Key, Project
from accounts.outbound.keys import find_key
from accounts.outbound.projects import find_project
from accounts.outbound.users import is_active, role_of
from common.contracts.access_tokens import Identity
from common.contracts.roles import Permission, permits
from common.problems import Forbidden, NotFound, Unauthenticated


async def authorize(connection: AsyncConnection, identity: Identity, permission: Permission, organization_id: str) -> None:
    """Asks the database, not the token, so that a new membership counts at once and an ended one no longer.

    Raises NotFound for strangers (the same as for what does not exist) and Forbidden when the role does not suffice.
    """
    role = await role_of(connection, identity.user_id, organization_id)
    if role is None:
        raise missing()
    if not permits(role, permission):
        raise Forbidden(f"Your role in this organization, {role}, does not include {permission}.")


async def authorize_user(connection: AsyncConnection, identity: Identity) -> None:
    """For what every user may do; raises Unauthenticated when the user is gone or suspended."""
    if not await is_active(connection, identity.user_id):
        raise Unauthenticated("Sign in again.")


async def project_for(
    connection: AsyncConnection, identity: Identity, permission: Permission, project_id: str, *, locked: bool = False
) -> Project:
    """The project, if the caller has the permission in its organization; else NotFound or Forbidden."""
    project = await find_project(connection, project_id, locked=locked)
    if project is None:
        raise missing()
    await authorize(connection, identity, permission, project.organization_id)
    return project


async def key_for(
    connection: AsyncConnection,
    identity: Identity,
    permission: Permission,
    project_id: str,
    key_id: str,
    *,
    locked: bool = False,
) -> Key:
    """The key, if it belongs to the project and the caller has the permission there; else NotFound or Forbidden."""
    await project_for(connection, identity, permission, project_id)
    key = await find_key(connection, project_id, key_id, locked=locked)
    if key is None:
        raise missing()
    return key


def missing() -> NotFound:
    """One answer for what is not there and for what is somebody else's."""
    return NotFound("There is no such object, or it is not yours.")
