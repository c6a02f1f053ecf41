"""Records of the DIRECTORY bucket: what the gateways and usage know of keys, projects and organizations.

Encoded as JSON. Versions only rise, per object; a revocation is a record with status `revoked`, never a deletion. A reader keeps
the record with the highest version, whatever the order of arrival. Times are Unix milliseconds, money is nano-USD.
"""

from typing import Literal

import msgspec

MANIFEST_KEY = "manifest"

Status = Literal["active", "suspended", "revoked"]
OwnerKind = Literal["member", "service_account"]
Enforcement = Literal["hard", "soft", "shadow"]
"""What a limit does when it is reached: refuse; alert only; or let pass and say in a header and a metric what it would have refused."""
EndpointScope = Literal["chat", "completions", "embeddings", "messages", "models", "quota"]
"""What an API key may be narrowed to: families of the gateway's endpoints."""


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
LIMIT_NAMES = tuple(name for name in Limits.__struct_fields__ if name != "version")


class KeySecret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One live secret of a key: digest as lower-case hex under a pepper version; two during a rotation."""

    pepper_version: int
    digest: str
    not_after: int | None = None


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An API key, found by its lookup id. `models`/`scopes`/`networks` None = all that the project may use, from everywhere.

    With an `owner_kind` the key lives only while the MemberRecord of `owner_id` is active. `scopes` are names of ENDPOINT_SCOPES,
    `networks` are CIDR blocks.
    """

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
    owner_kind: OwnerKind | None = None
    networks: tuple[str, ...] | None = None


class CachePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Response cache of a project: scope `off`, `project` or `key`; time to live in seconds."""

    scope: Literal["off", "project", "key"] = "project"
    ttl_seconds: int = 86_400


class TierPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Prompt characters from which `auto` means deep, and a tier that overrules the count; None = the gateway's default.

    `fast_models`, `deep_models`: what a tier may use in this project, by the names of the gateway's routes; None = all of the tier.
    """

    deep_from_characters: int | None = None
    default_tier: Literal["fast", "deep"] | None = None
    fast_models: tuple[str, ...] | None = None
    deep_models: tuple[str, ...] | None = None


DEFAULT_CACHE = CachePolicy()
DEFAULT_TIER = TierPolicy()


class ProjectRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A project: its limits and policies. `end_user_limits` hold for each value of the OpenAI field `user`.

    `enforcement` is that of the project's limits and of its keys' and end users'. `on_unpriced`: what becomes of a model without a
    price under a cost limit: refused, held at the dearest rates of the price book, or let pass and flagged.
    """

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
    environment: str = ""
    end_user_limits: Limits = NO_LIMITS
    alert_percents: tuple[int, ...] = ()
    enforcement: Enforcement = "hard"
    on_unpriced: Literal["deny", "estimate", "allow"] = "deny"


class OrganizationRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An organization: the calendar of its budgets and how stale a gateway's view of it may be.

    `enforcement` is that of the organization's limits and of its members'. `time_zone` counts from `time_zone_from` on (Unix
    milliseconds), until then `earlier_time_zone`; without these, always.
    """

    organization_id: str
    version: int
    status: Status
    name: str = ""
    time_zone: str = "UTC"
    max_staleness_seconds: int = 300
    limits: Limits = NO_LIMITS
    end_user_limits: Limits = NO_LIMITS
    alert_percents: tuple[int, ...] = ()
    enforcement: Enforcement = "hard"
    earlier_time_zone: str | None = None
    time_zone_from: int = 0

    def zone_at(self, at_ms: int) -> str:
        """The time zone by which days and months are told at a moment (Unix milliseconds)."""
        return self.earlier_time_zone if self.earlier_time_zone is not None and at_ms < self.time_zone_from else self.time_zone


class MemberRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who owns keys in an organization: a member or a service account. `limits` hold over all keys of that owner.

    `suspended` closes its keys until it is active again, `revoked` (left, removed, deleted) for ever.
    """

    member_id: str
    organization_id: str
    version: int
    status: Status
    kind: OwnerKind = "member"
    limits: Limits = NO_LIMITS


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Says that the bucket has been filled: a view holding at least these many records of each kind is complete."""

    generation: int
    keys: int
    projects: int
    organizations: int
    published_at: int
    members: int = 0


def key_entry(lookup: str) -> str:
    """The bucket key of an API key's record."""
    return f"key.{lookup}"


def project_entry(project_id: str) -> str:
    """The bucket key of a project's record."""
    return f"project.{project_id}"


def organization_entry(organization_id: str) -> str:
    """The bucket key of an organization's record."""
    return f"organization.{organization_id}"


def member_entry(organization_id: str, member_id: str) -> str:
    """The bucket key of the record of a member or service account."""
    return f"member.{organization_id}.{member_id}"
