"""Map a group of an identity provider to a role."""

from accounts.domain.identity_mapping import GroupRole
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.identity_mappings import find_group_role, put_group_role
from accounts.use_cases.authorize_membership_change import authorize_alone, require_role_to_give
from accounts.use_cases.context import Context
from accounts.use_cases.map_domain import require_mapping_room, require_provider


async def map_group(context: Context, caller: Principal, mapped: GroupRole) -> GroupRole:
    """The mapping, new or changed. It concerns people of the organization's mapped domains, at their next sign-in.

    Raises NotFound, Forbidden (also for a role with permissions that the caller lacks), Invalid for a provider that is not
    configured, Conflict when there are too many.
    """
    async with context.engine.begin() as connection:
        await authorize_alone(connection, caller, mapped.organization_id, "members.manage")
        await require_role_to_give(connection, caller, mapped.organization_id, mapped.role)
        require_provider(context, mapped.provider)
        before = await find_group_role(connection, mapped.organization_id, mapped.provider, mapped.group)
        if before is None:
            await require_mapping_room(connection, mapped.organization_id)
        await put_group_role(connection, mapped)
        await note(
            connection,
            caller,
            "group.mapped",
            f"{mapped.provider}/{mapped.group}",
            organization_id=mapped.organization_id,
            before=before,
            after=mapped,
        )
    return mapped
