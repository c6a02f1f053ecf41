"""Apply the mapping of domains and groups to a person who signs in."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.audit import status_action
from accounts.domain.identity_mapping import MappedRole, Standing, next_standing, role_by_mapping
from accounts.domain.objects import Member
from accounts.domain.oidc import Person, ProviderConfig, vouched_domain
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.identity_mappings import find_domain, group_roles_of
from accounts.outbound.members import change_member, find_member
from accounts.outbound.organizations import find_organization
from accounts.outbound.outbox import announce
from accounts.use_cases.admit_member import admit_member


async def apply_mapping(
    connection: AsyncConnection, caller: Principal, person: Person, config: ProviderConfig, user_id: str
) -> None:
    """Make the user's membership what the domain and the groups say, where it is theirs to say (domain/identity_mapping.py)."""
    domain = vouched_domain(person, config)
    mapping = None if domain is None else await find_domain(connection, domain)
    if mapping is None or mapping.provider != config.name:
        return
    organization_id = mapping.organization_id
    mapped = await group_roles_of(connection, organization_id)
    roles = {each.group: each.role for each in mapped if each.provider == config.name}
    wanted = role_by_mapping(person.groups, roles, mapping.default_role)
    if _change(await find_member(connection, organization_id, user_id), wanted):
        await find_organization(connection, organization_id, locked=True)  # who belongs to it changes one at a time
        await _settle(connection, caller, organization_id, user_id, wanted)


def _change(member: Member | None, wanted: MappedRole | None) -> Standing | None:
    present = None if member is None else Standing(member.role, member.status, member.mapped_role)
    return next_standing(present, wanted)


async def _settle(
    connection: AsyncConnection, caller: Principal, organization_id: str, user_id: str, wanted: MappedRole | None
) -> None:
    before = await find_member(connection, organization_id, user_id, locked=True)
    after = _change(before, wanted)
    if after is None:
        return
    if before is None:
        before = await admit_member(connection, caller, organization_id, user_id, after.role)
    member = await change_member(
        connection, organization_id, user_id, role=after.role, status=after.status, mapped_role=after.mapped_role
    )
    await announce(connection, member.record())
    action = status_action("member", before.status, member.status)
    await note(connection, caller, action, user_id, organization_id=organization_id, before=before, after=member)
