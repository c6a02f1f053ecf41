"""Domains and groups mapped to organizations and roles, in SQL."""

from typing import Any

import msgspec
from sqlalchemy import Row, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.identity_mapping import DomainMapping, GroupRole, MappedRole
from accounts.outbound.tables import group_roles, organization_domains


async def find_domain(connection: AsyncConnection, domain: str, *, locked: bool = False) -> DomainMapping | None:
    """Whose the domain is."""
    query = select(organization_domains).where(organization_domains.c.domain == domain)
    row = (await connection.execute(query.with_for_update() if locked else query)).one_or_none()
    return None if row is None else _domain(row)


async def domains_of(connection: AsyncConnection, organization_id: str) -> list[DomainMapping]:
    """All of an organization, by name."""
    query = select(organization_domains).where(organization_domains.c.organization_id == organization_id)
    return [_domain(row) for row in await connection.execute(query.order_by(organization_domains.c.domain))]


async def put_domain(
    connection: AsyncConnection, organization_id: str, domain: str, provider: str, default_role: MappedRole | None
) -> DomainMapping | None:
    """Insert or replace; None when the domain is another organization's."""
    values = {"organization_id": organization_id, "provider": provider, "default_role": default_role}
    put = insert(organization_domains).values(domain=domain, **values)
    done = await connection.execute(
        put.on_conflict_do_update(
            index_elements=["domain"], set_=values, where=organization_domains.c.organization_id == organization_id
        ).returning(organization_domains)
    )
    row = done.one_or_none()
    return None if row is None else _domain(row)


async def remove_domain(connection: AsyncConnection, domain: str) -> None:
    """Delete."""
    await connection.execute(delete(organization_domains).where(organization_domains.c.domain == domain))


async def group_roles_of(connection: AsyncConnection, organization_id: str) -> list[GroupRole]:
    """All of an organization, by provider and group."""
    query = select(group_roles).where(group_roles.c.organization_id == organization_id)
    rows = await connection.execute(query.order_by(group_roles.c.provider, group_roles.c.group_name))
    return [_group_role(row) for row in rows]


async def put_group_role(connection: AsyncConnection, mapped: GroupRole) -> None:
    """Insert or replace."""
    values: dict[str, Any] = msgspec.structs.asdict(mapped)
    put = insert(group_roles).values(group_name=values.pop("group"), **values)
    keys = ["organization_id", "provider", "group_name"]
    await connection.execute(put.on_conflict_do_update(index_elements=keys, set_={"role": mapped.role}))


async def find_group_role(connection: AsyncConnection, organization_id: str, provider: str, group: str) -> GroupRole | None:
    """What the group is mapped to."""
    mapped = await group_roles_of(connection, organization_id)
    return next((each for each in mapped if (each.provider, each.group) == (provider, group)), None)


async def remove_group_role(connection: AsyncConnection, mapped: GroupRole) -> None:
    """Delete."""
    await connection.execute(
        delete(group_roles).where(
            group_roles.c.organization_id == mapped.organization_id,
            group_roles.c.provider == mapped.provider,
            group_roles.c.group_name == mapped.group,
        )
    )


async def count_mappings(connection: AsyncConnection, organization_id: str) -> int:
    """How many domains and groups the organization has."""
    tables = (organization_domains, group_roles)
    counts = [select(func.count()).select_from(table).where(table.c.organization_id == organization_id) for table in tables]
    return sum([(await connection.execute(count)).scalar_one() for count in counts])


def _domain(row: Row[Any]) -> DomainMapping:
    return msgspec.convert(row, DomainMapping, from_attributes=True)


def _group_role(row: Row[Any]) -> GroupRole:
    return GroupRole(organization_id=row.organization_id, provider=row.provider, group=row.group_name, role=row.role)
