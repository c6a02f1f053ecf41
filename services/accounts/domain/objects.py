"""Organizations, projects and keys as they stand in the database, and the directory records that announce them."""

from datetime import datetime

import msgspec

from common.contracts.directory import (
    DEFAULT_CACHE,
    DEFAULT_TIER,
    NO_LIMITS,
    CachePolicy,
    KeyRecord,
    KeySecret,
    Limits,
    OrganizationRecord,
    ProjectRecord,
    Status,
    TierPolicy,
    key_entry,
    organization_entry,
    project_entry,
)

Record = KeyRecord | ProjectRecord | OrganizationRecord


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant: owns projects and keys; its time zone is the calendar of their budgets."""

    id: str
    name: str
    slug: str
    status: Status
    time_zone: str
    max_staleness_seconds: int
    version: int
    created_at: datetime
    updated_at: datetime

    def record(self) -> OrganizationRecord:
        """What the gateways and usage know of it."""
        return OrganizationRecord(
            organization_id=self.id,
            version=self.version,
            status=self.status,
            name=self.name,
            time_zone=self.time_zone,
            max_staleness_seconds=self.max_staleness_seconds,
        )


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A budget and a set of policies that keys belong to."""

    id: str
    organization_id: str
    name: str
    slug: str
    status: Status
    models: tuple[str, ...] | None
    limits: Limits = NO_LIMITS
    budget_mode: str
    on_no_grant: str
    revoked_streams: str
    cache: CachePolicy = DEFAULT_CACHE
    tier: TierPolicy = DEFAULT_TIER
    retention_days: int | None
    version: int
    created_at: datetime
    updated_at: datetime

    def record(self) -> ProjectRecord:
        """What the gateways and usage know of it."""
        return ProjectRecord(
            project_id=self.id,
            organization_id=self.organization_id,
            version=self.version,
            status=self.status,
            name=self.name,
            models=self.models,
            limits=self.limits,
            budget_mode=self.budget_mode,  # type: ignore[arg-type] # a CHECK constraint holds the closed list
            on_no_grant=self.on_no_grant,  # type: ignore[arg-type] # a CHECK constraint holds the closed list
            revoked_streams=self.revoked_streams,  # type: ignore[arg-type] # a CHECK constraint holds the closed list
            cache=self.cache,
            tier=self.tier,
            retention_days=self.retention_days,
        )


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An API key. Of its secrets only digests are known; `hint` is what people recognize it by."""

    id: str
    project_id: str
    organization_id: str
    lookup: str
    hint: str
    name: str
    label: str
    status: Status
    secrets: tuple[KeySecret, ...]
    models: tuple[str, ...] | None
    tags: dict[str, str]
    expires_at: datetime | None
    created_by: str
    revoked_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime

    def record(self) -> KeyRecord:
        """What the gateways know of it."""
        return KeyRecord(
            key_id=self.id,
            lookup=self.lookup,
            project_id=self.project_id,
            organization_id=self.organization_id,
            version=self.version,
            status=self.status,
            secrets=self.secrets,
            name=self.name,
            label=self.label,  # type: ignore[arg-type] # a CHECK constraint holds the closed list
            expires_at=None if self.expires_at is None else milliseconds(self.expires_at),
            models=self.models,
            owner_id=self.created_by,
            tags=self.tags,
        )


def milliseconds(moment: datetime) -> int:
    """Unix milliseconds, rounded down: a key never lives longer than was said."""
    return int(moment.timestamp() * 1000)


def entry_of(record: Record) -> str:
    """The bucket key under which a record is announced."""
    match record:
        case KeyRecord():
            return key_entry(record.lookup)
        case ProjectRecord():
            return project_entry(record.project_id)
        case OrganizationRecord():
            return organization_entry(record.organization_id)
