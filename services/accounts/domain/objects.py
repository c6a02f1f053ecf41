"""Organizations, projects and keys as they stand in the database, and the directory records that announce them."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from common.contracts.directory import (
    DEFAULT_CACHE,
    DEFAULT_TIER,
    NO_LIMITS,
    CachePolicy,
    KeyRecord,
    KeySecret,
    Limits,
    MemberRecord,
    OrganizationRecord,
    OwnerKind,
    ProjectRecord,
    Status,
    TierPolicy,
    key_entry,
    member_entry,
    organization_entry,
    project_entry,
)
from common.contracts.roles import Role

Record = KeyRecord | ProjectRecord | OrganizationRecord | MemberRecord
SHAPE = 2
"""What the records say of the rows. Raise it when a record says more or says it otherwise: then all are announced anew."""


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant: owns projects and keys; its time zone is the calendar of their budgets."""

    id: str
    name: str
    slug: str
    status: Status
    time_zone: str
    max_staleness_seconds: int
    limits: Limits = NO_LIMITS
    end_user_limits: Limits = NO_LIMITS
    alert_percents: tuple[int, ...] = ()
    enforcement: str = "hard"
    earlier_time_zone: str | None = None
    time_zone_from: datetime | None = None
    version: int
    created_at: datetime
    updated_at: datetime

    def counting_time_zone(self, now: datetime) -> str:
        """By which its days are told now: a change counts from a later month on."""
        return self.record().zone_at(int(now.timestamp() * 1000))

    def record(self) -> OrganizationRecord:
        """What the gateways and usage know of it."""
        return OrganizationRecord(
            organization_id=self.id,
            version=self.version,
            status=self.status,
            name=self.name,
            time_zone=self.time_zone,
            max_staleness_seconds=self.max_staleness_seconds,
            limits=self.limits,
            end_user_limits=self.end_user_limits,
            alert_percents=self.alert_percents,
            enforcement=self.enforcement,  # type: ignore[arg-type] # a CHECK constraint holds the closed list
            earlier_time_zone=self.earlier_time_zone,
            time_zone_from=int(self.time_zone_from.timestamp() * 1000) if self.time_zone_from else 0,
        )


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A person in an organization. `user_status` is the person's own: suspended there, all memberships are closed."""

    user_id: str
    organization_id: str
    email: str
    name: str
    role: Role
    status: Literal["active", "suspended", "ended"]
    user_status: Literal["active", "suspended"]
    mapped_role: str | None = None
    limits: Limits = NO_LIMITS
    version: int
    created_at: datetime
    updated_at: datetime

    def record(self) -> MemberRecord:
        """What the gateways know of it."""
        return MemberRecord(
            member_id=self.user_id,
            organization_id=self.organization_id,
            version=self.version,
            status=owner_status(self.status if self.user_status == "active" or self.status == "ended" else "suspended"),
            kind="member",
            limits=self.limits,
        )


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A caller of the management API, and an owner of keys, that is no person."""

    id: str
    organization_id: str
    name: str
    role: Role
    status: Literal["active", "suspended", "ended"]
    limits: Limits = NO_LIMITS
    created_by: str
    version: int
    created_at: datetime
    updated_at: datetime

    def record(self) -> MemberRecord:
        """What the gateways know of it."""
        return MemberRecord(
            member_id=self.id,
            organization_id=self.organization_id,
            version=self.version,
            status=owner_status(self.status),
            kind="service_account",
            limits=self.limits,
        )


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of limits that projects inherit."""

    id: str
    organization_id: str
    name: str
    limits: Limits = NO_LIMITS
    alert_percents: tuple[int, ...] = ()
    version: int
    created_at: datetime
    updated_at: datetime


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A budget and a set of policies that keys belong to."""

    id: str
    organization_id: str
    name: str
    slug: str
    status: Status
    plan_id: str | None = None
    environment: str = ""
    models: tuple[str, ...] | None
    limits: Limits = NO_LIMITS
    limit_overrides: dict[str, Any] = {}
    end_user_limits: Limits = NO_LIMITS
    alert_percents: tuple[int, ...] = ()
    budget_mode: str
    on_no_grant: str
    on_unpriced: str = "deny"
    enforcement: str = "hard"
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
            on_unpriced=self.on_unpriced,  # type: ignore[arg-type] # a CHECK constraint holds the closed list
            enforcement=self.enforcement,  # type: ignore[arg-type] # a CHECK constraint holds the closed list
            revoked_streams=self.revoked_streams,  # type: ignore[arg-type] # a CHECK constraint holds the closed list
            cache=self.cache,
            tier=self.tier,
            retention_days=self.retention_days,
            environment=self.environment,
            end_user_limits=self.end_user_limits,
            alert_percents=self.alert_percents,
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
    owner_kind: OwnerKind | None = None
    owner_id: str | None = None
    scopes: tuple[str, ...] | None = None
    models: tuple[str, ...] | None
    networks: tuple[str, ...] | None = None
    limits: Limits = NO_LIMITS
    tags: dict[str, str]
    expires_at: datetime | None
    last_used_at: datetime | None = None
    rotate_days: int | None = None
    overlap_seconds: int = 86_400
    rotated_at: datetime | None = None
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
            scopes=self.scopes,
            networks=self.networks,
            limits=self.limits,
            owner_kind=self.owner_kind,
            owner_id=self.owner_id,
            tags=self.tags,
        )


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the members of an organization should know, said once for each occasion."""

    id: str
    organization_id: str
    kind: str
    object_id: str
    detail: dict[str, Any]
    created_at: datetime


def owner_status(status: str) -> Status:
    """A membership or service account that ended is revoked to the gateways."""
    return "revoked" if status == "ended" else status  # type: ignore[return-value] # a CHECK constraint holds the closed list


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
        case MemberRecord():
            return member_entry(record.organization_id, record.member_id)
