"""Records of the DIRECTORY bucket: what the gateways and usage know of keys, projects and organizations.

Encoded as JSON. Versions only rise, per object; a revocation is a record with status `revoked`, never a deletion. A reader keeps
the record with the highest version, whatever the order of arrival. Times are Unix milliseconds, money is nano-USD.
"""

from typing import Literal

import msgspec

MANIFEST_KEY = "manifest"

Status = Literal["active", "suspended", "revoked"]


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Hard limits of one scope; None = no limit. `version` rises with every change of any of them."""

    version: int = 0
    monthly_tokens: int | None = None
    monthly_cost_nanousd: int | None = None
    daily_tokens: int | None = None
    daily_cost_nanousd: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None


NO_LIMITS = Limits()


class KeySecret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One live secret of a key: digest as lower-case hex under a pepper version; two during a rotation."""

    pepper_version: int
    digest: str
    not_after: int | None = None


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An API key, found by its lookup id. `models`/`scopes` None = all that the project may use."""

    key_id: str
    lookup: str
    project_id: str
    organization_id: str
    version: int
    status: Status
    secrets: tuple[KeySecret, ...]
    name: str = ""
    label: Literal["live", "test"] = "live"
    expires_at: int | None = None
    models: tuple[str, ...] | None = None
    scopes: tuple[str, ...] | None = None
    owner_id: str | None = None
    limits: Limits = NO_LIMITS
    tags: dict[str, str] = {}


class CachePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Response cache of a project: scope `off`, `project` or `key`; time to live in seconds."""

    scope: Literal["off", "project", "key"] = "project"
    ttl_seconds: int = 86_400


class TierPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Prompt characters from which `auto` means deep, and a tier that overrules the count; None = the gateway's default."""

    deep_from_characters: int | None = None
    default_tier: Literal["fast", "deep"] | None = None


DEFAULT_CACHE = CachePolicy()
DEFAULT_TIER = TierPolicy()


class ProjectRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A project: its limits and policies."""

    project_id: str
    organization_id: str
    version: int
    status: Status
    name: str = ""
    models: tuple[str, ...] | None = None
    limits: Limits = NO_LIMITS
    budget_mode: Literal["strict", "sliced", "expected"] = "strict"
    on_no_grant: Literal["closed", "open", "grace"] = "closed"
    revoked_streams: Literal["finish", "cut"] = "cut"
    cache: CachePolicy = DEFAULT_CACHE
    tier: TierPolicy = DEFAULT_TIER
    retention_days: int | None = None


class OrganizationRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An organization: the calendar of its budgets and how stale a gateway's view of it may be."""

    organization_id: str
    version: int
    status: Status
    name: str = ""
    time_zone: str = "UTC"
    max_staleness_seconds: int = 300
    limits: Limits = NO_LIMITS


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Says that the bucket has been filled: a view holding at least these many records of each kind is complete."""

    generation: int
    keys: int
    projects: int
    organizations: int
    published_at: int


def key_entry(lookup: str) -> str:
    """The bucket key of an API key's record."""
    return f"key.{lookup}"


def project_entry(project_id: str) -> str:
    """The bucket key of a project's record."""
    return f"project.{project_id}"


def organization_entry(organization_id: str) -> str:
    """The bucket key of an organization's record."""
    return f"organization.{organization_id}"
