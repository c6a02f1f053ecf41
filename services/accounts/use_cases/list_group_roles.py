"""List the groups that are mapped to roles of an organization."""

from accounts.domain.identity_mapping import GroupRole
from accounts.domain.principal import Principal
from accounts.outbound.identity_mappings import group_roles_of
from accounts.use_cases.authorize_caller import authorize
from accounts.use_cases.context import Context


async def list_group_roles(context: Context, caller: Principal, organization_id: str) -> list[GroupRole]:
    """All, by provider and group. Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        await authorize(connection, caller, "members.read", organization_id)
        return await group_roles_of(connection, organization_id)
