"""Take the role of a group away."""

from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.identity_mappings import find_group_role, remove_group_role
from accounts.use_cases.authorize_caller import missing
from accounts.use_cases.authorize_membership_change import authorize_alone
from accounts.use_cases.context import Context


async def unmap_group(context: Context, caller: Principal, organization_id: str, *, provider: str, group: str) -> None:
    """From each person's next sign-in the group counts no longer. Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        await authorize_alone(connection, caller, organization_id, "members.manage")
        mapped = await find_group_role(connection, organization_id, provider, group)
        if mapped is None:
            raise missing()
        await remove_group_role(connection, mapped)
        await note(connection, caller, "group.unmapped", f"{provider}/{group}", organization_id=organization_id, before=mapped)
