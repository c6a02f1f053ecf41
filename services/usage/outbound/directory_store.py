"""The projected directory: the organizations and projects that reports and budgets need. Newer versions win, whatever the order."""

from collections.abc import Collection
from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import class_row

from common.contracts.directory import OrganizationRecord, ProjectRecord

ORGANIZATION = """
INSERT INTO organizations AS o (
    organization_id, version, status, name, time_zone, limit_version, monthly_tokens, monthly_cost_nanousd, daily_tokens,
    daily_cost_nanousd, alert_percents, earlier_time_zone, time_zone_from
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, to_timestamp(%s / 1000.0))
ON CONFLICT (organization_id) DO UPDATE SET
    version = excluded.version, status = excluded.status, name = excluded.name, time_zone = excluded.time_zone,
    limit_version = excluded.limit_version, monthly_tokens = excluded.monthly_tokens,
    monthly_cost_nanousd = excluded.monthly_cost_nanousd, daily_tokens = excluded.daily_tokens,
    daily_cost_nanousd = excluded.daily_cost_nanousd, alert_percents = excluded.alert_percents,
    earlier_time_zone = excluded.earlier_time_zone, time_zone_from = excluded.time_zone_from
WHERE o.version < excluded.version
"""

PROJECT = """
INSERT INTO projects AS p (
    project_id, organization_id, version, status, name, limit_version, monthly_tokens, monthly_cost_nanousd, daily_tokens,
    daily_cost_nanousd, alert_percents, retention_days
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (project_id) DO UPDATE SET
    organization_id = excluded.organization_id, version = excluded.version, status = excluded.status, name = excluded.name,
    limit_version = excluded.limit_version, monthly_tokens = excluded.monthly_tokens,
    monthly_cost_nanousd = excluded.monthly_cost_nanousd, daily_tokens = excluded.daily_tokens,
    daily_cost_nanousd = excluded.daily_cost_nanousd, alert_percents = excluded.alert_percents,
    retention_days = excluded.retention_days
WHERE p.version < excluded.version
"""

FIND = """
SELECT p.project_id, p.organization_id, p.limit_version, p.monthly_tokens, p.monthly_cost_nanousd,
    coalesce(CASE WHEN now() < o.time_zone_from THEN o.earlier_time_zone END, o.time_zone, 'UTC') AS time_zone
FROM projects p LEFT JOIN organizations o USING (organization_id)
WHERE p.project_id = %s
"""

ZONES = """
SELECT organization_id, coalesce(CASE WHEN now() < time_zone_from THEN earlier_time_zone END, time_zone)
FROM organizations
WHERE organization_id = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class ProjectView:
    """What we know of a project."""

    project_id: str
    organization_id: str
    limit_version: int
    monthly_tokens: int | None
    monthly_cost_nanousd: int | None
    time_zone: str


async def put(connection: AsyncConnection, record: OrganizationRecord | ProjectRecord) -> bool:
    """Store a record unless a version as new is there; says whether it was news. Inside the caller's transaction."""
    limits = record.limits
    if isinstance(record, OrganizationRecord):
        cursor = await connection.execute(
            ORGANIZATION,
            (
                record.organization_id,
                record.version,
                record.status,
                record.name,
                record.time_zone,
                limits.version,
                limits.monthly_tokens,
                limits.monthly_cost_nanousd,
                limits.daily_tokens,
                limits.daily_cost_nanousd,
                list(record.alert_percents),
                record.earlier_time_zone,
                record.time_zone_from or None,
            ),
        )
    else:
        cursor = await connection.execute(
            PROJECT,
            (
                record.project_id,
                record.organization_id,
                record.version,
                record.status,
                record.name,
                limits.version,
                limits.monthly_tokens,
                limits.monthly_cost_nanousd,
                limits.daily_tokens,
                limits.daily_cost_nanousd,
                list(record.alert_percents),
                record.retention_days,
            ),
        )
    return cursor.rowcount > 0


async def find_project(connection: AsyncConnection, project_id: str) -> ProjectView | None:
    """A project by its id."""
    async with connection.cursor(row_factory=class_row(ProjectView)) as cursor:
        await cursor.execute(FIND, (project_id,))
        return await cursor.fetchone()


async def find_organization(connection: AsyncConnection, organization_id: str) -> bool:
    """Whether there is one of that id."""
    cursor = await connection.execute("SELECT FROM organizations WHERE organization_id = %s", (organization_id,))
    return cursor.rowcount > 0


async def time_zones(connection: AsyncConnection, organization_ids: Collection[str]) -> dict[str, str]:
    """The zones that are in force now; organizations that are not known are left out."""
    cursor = await connection.execute(ZONES, (list(organization_ids),))
    return dict(await cursor.fetchall())
