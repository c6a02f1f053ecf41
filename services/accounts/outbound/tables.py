"""The tables of the schema `accounts` (found by the role's search_path)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _identifier() -> TypeEngine[str]:
    return UUID(as_uuid=False)


def _document() -> TypeEngine[object]:
    return JSONB(none_as_null=True)


def _one_of(column: str, *values: str) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _versioned() -> tuple[Column[int], Column[object], Column[object]]:
    """`version` rises with every change of the row and never falls."""
    return (
        Column("version", BigInteger, nullable=False, server_default=text("1")),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    )


ROLES = ("owner", "admin", "developer", "billing", "viewer")


def _moment(name: str, *, required: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=not required)


def _created() -> Column[object]:
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now())


def _limits() -> tuple[Column[object], Column[int]]:
    """Limits by the names of directory.Limits; their version rises with every change of any of them."""
    return (
        Column("limits", _document(), nullable=False, server_default=text("'{}'::jsonb")),
        Column("limits_version", BigInteger, nullable=False, server_default=text("0")),
    )


def _list(name: str) -> Column[object]:
    return Column(name, _document(), nullable=False, server_default=text("'[]'::jsonb"))


def _owned(name: str = "organization_id", *, primary: bool = False) -> Column[str]:
    return Column(name, _identifier(), ForeignKey("organizations.id"), nullable=False, primary_key=primary)


users = Table(
    "users",
    metadata,
    Column("id", _identifier(), primary_key=True),
    Column("email", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("password_hash", Text),
    _moment("password_changed_at"),
    Column("operator", Boolean, nullable=False, server_default=text("false")),
    Column("status", Text, nullable=False, server_default="active"),
    *_versioned(),
    _one_of("status", "active", "suspended"),
)
"""People. No password_hash = no password: they sign in elsewhere (OIDC). Operators run the installation."""
Index("uq_users_email_lower", func.lower(users.c.email), unique=True)

organizations = Table(
    "organizations",
    metadata,
    Column("id", _identifier(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="active"),
    Column("time_zone", Text, nullable=False),
    Column("max_staleness_seconds", Integer, nullable=False),
    *_limits(),
    Column("end_user_limits", _document(), nullable=False, server_default=text("'{}'::jsonb")),
    _list("alert_percents"),
    Column("enforcement", Text, nullable=False, server_default="hard"),
    Column("earlier_time_zone", Text),
    Column("time_zone_from", DateTime(timezone=True)),
    *_versioned(),
    UniqueConstraint("slug"),
    _one_of("status", "active", "suspended"),
    _one_of("enforcement", "hard", "soft", "shadow"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("user_id", _identifier(), ForeignKey("users.id"), primary_key=True),
    _owned(primary=True),
    Column("role", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="active"),
    Column("mapped_role", Text),
    *_limits(),
    *_versioned(),
    _one_of("role", *ROLES),
    _one_of("status", "active", "suspended", "ended"),
    _one_of("mapped_role", *ROLES[1:], "none"),
    Index(None, "organization_id"),
)
"""A membership that ended stays as a row, so that its record can go on telling the gateways so. `mapped_role` is what an identity
provider's domain and groups made of it last (domain/identity_mapping.py), NULL = nothing ever."""

service_accounts = Table(
    "service_accounts",
    metadata,
    Column("id", _identifier(), primary_key=True),
    _owned(),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="active"),
    *_limits(),
    Column("created_by", _identifier(), nullable=False),
    *_versioned(),
    Index("uq_service_accounts_live_name", "organization_id", "name", unique=True, postgresql_where=text("status <> 'ended'")),
    _one_of("role", *ROLES[1:]),
    _one_of("status", "active", "suspended", "ended"),
)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("id", _identifier(), primary_key=True),
    Column("user_id", _identifier(), ForeignKey("users.id")),
    Column("service_account_id", _identifier(), ForeignKey("service_accounts.id")),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("scopes", _document()),
    _moment("expires_at"),
    _moment("last_used_at"),
    _moment("revoked_at"),
    _created(),
    UniqueConstraint("digest"),
    CheckConstraint("num_nonnulls(user_id, service_account_id) = 1", name="one_bearer"),
    Index(None, "user_id"),
    Index(None, "service_account_id"),
)
"""Long-lived tokens for the management APIs: personal ones and those of service accounts."""

sessions = Table(
    "sessions",
    metadata,
    Column("id", _identifier(), primary_key=True),
    Column("user_id", _identifier(), ForeignKey("users.id"), nullable=False),
    Column("method", Text, nullable=False),
    Column("refresh_digest", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    _moment("refreshed_at", required=True),
    _moment("expires_at", required=True),
    _moment("ended_at"),
    Column("end_reason", Text),
    _created(),
    UniqueConstraint("refresh_digest"),
    Index(None, "user_id"),
    _one_of("method", "password", "oidc"),
    CheckConstraint("end_reason IN ('signed_out', 'signed_out_everywhere', 'reuse', 'password', 'suspended')", name="end_reason"),
)

spent_refresh_tokens = Table(
    "spent_refresh_tokens",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("session_id", _identifier(), ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    _moment("spent_at", required=True),
    Index(None, "session_id"),
)
"""What a session's refresh token was before; seeing one again means that it was stolen."""

password_resets = Table(
    "password_resets",
    metadata,
    Column("id", _identifier(), primary_key=True),
    Column("user_id", _identifier(), ForeignKey("users.id"), nullable=False),
    Column("digest", Text, nullable=False),
    _moment("expires_at", required=True),
    _moment("used_at"),
    _created(),
    UniqueConstraint("digest"),
    Index(None, "user_id"),
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("email_digest", Text, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    _moment("since", required=True),
    _moment("last_at", required=True),
    Index(None, "last_at"),
)
"""How often somebody tried to sign in, by the address tried from; the address `*` counts all of them."""

known_addresses = Table(
    "known_addresses",
    metadata,
    Column("user_id", _identifier(), ForeignKey("users.id"), primary_key=True),
    Column("address", Text, primary_key=True),
    _moment("last_at", required=True),
)
"""Where a user has signed in from with success: what strangers do elsewhere does not lock these out."""

invitations = Table(
    "invitations",
    metadata,
    Column("id", _identifier(), primary_key=True),
    _owned(),
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("invited_by", _identifier(), nullable=False),
    _moment("expires_at", required=True),
    _moment("accepted_at"),
    _moment("revoked_at"),
    _created(),
    UniqueConstraint("digest"),
    _one_of("role", *ROLES),
    Index(None, "organization_id", "id"),
)

oidc_identities = Table(
    "oidc_identities",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("user_id", _identifier(), ForeignKey("users.id"), nullable=False),
    Column("email", Text, nullable=False),
    _moment("last_at", required=True),
    _created(),
    Index(None, "user_id"),
)

oidc_flows = Table(
    "oidc_flows",
    metadata,
    Column("state_digest", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("code_verifier", Text, nullable=False),
    Column("browser_digest", Text, nullable=False),
    Column("return_to", Text),
    Column("code_challenge", Text),
    _moment("expires_at", required=True),
    Index(None, "expires_at"),
    CheckConstraint("(return_to IS NULL) = (code_challenge IS NULL)", name="return_to"),
)
"""Sign-ins on their way through an identity provider."""

sign_in_codes = Table(
    "sign_in_codes",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("user_id", _identifier(), ForeignKey("users.id"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("code_challenge", Text, nullable=False),
    _moment("expires_at", required=True),
    Index(None, "expires_at"),
    Index(None, "user_id"),
)
"""Finished sign-ins whose program has not fetched its tokens yet."""

organization_domains = Table(
    "organization_domains",
    metadata,
    Column("domain", Text, primary_key=True),
    _owned(),
    Column("provider", Text, nullable=False),
    Column("default_role", Text),
    _created(),
    _one_of("default_role", *ROLES[1:]),
    Index(None, "organization_id"),
)
"""People whom this provider vouches for with an address in this domain are members; default_role None = only by group."""

group_roles = Table(
    "group_roles",
    metadata,
    _owned(primary=True),
    Column("provider", Text, primary_key=True),
    Column("group_name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    _one_of("role", *ROLES[1:]),
)

plans = Table(
    "plans",
    metadata,
    Column("id", _identifier(), primary_key=True),
    _owned(),
    Column("name", Text, nullable=False),
    *_limits(),
    _list("alert_percents"),
    *_versioned(),
    UniqueConstraint("organization_id", "name"),
)

projects = Table(
    "projects",
    metadata,
    Column("id", _identifier(), primary_key=True),
    _owned(),
    Column("plan_id", _identifier(), ForeignKey("plans.id")),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("environment", Text, nullable=False, server_default=""),
    Column("status", Text, nullable=False, server_default="active"),
    Column("models", _document()),
    Column("limits", _document(), nullable=False),
    Column("limits_version", BigInteger, nullable=False, server_default=text("0")),
    Column("limit_overrides", _document(), nullable=False, server_default=text("'{}'::jsonb")),
    Column("end_user_limits", _document(), nullable=False, server_default=text("'{}'::jsonb")),
    _list("alert_percents"),
    Column("budget_mode", Text, nullable=False),
    Column("on_no_grant", Text, nullable=False),
    Column("on_unpriced", Text, nullable=False, server_default="deny"),
    Column("enforcement", Text, nullable=False, server_default="hard"),
    Column("revoked_streams", Text, nullable=False),
    Column("cache", _document(), nullable=False),
    Column("tier", _document(), nullable=False),
    Column("retention_days", Integer),
    *_versioned(),
    UniqueConstraint("organization_id", "slug"),
    Index(None, "plan_id"),
    _one_of("status", "active", "suspended"),
    _one_of("budget_mode", "strict", "sliced", "expected"),
    _one_of("on_no_grant", "closed", "open", "grace"),
    _one_of("on_unpriced", "deny", "estimate", "allow"),
    _one_of("enforcement", "hard", "soft", "shadow"),
    _one_of("revoked_streams", "finish", "cut"),
)
"""`limits` and `alert_percents` are those in force: the plan's, with `limit_overrides` over them."""

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", _identifier(), primary_key=True),
    Column("project_id", _identifier(), ForeignKey("projects.id"), nullable=False),
    _owned(),
    Column("lookup", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="active"),
    Column("secrets", _document(), nullable=False),
    Column("owner_kind", Text),
    Column("owner_id", _identifier()),
    Column("scopes", _document()),
    Column("models", _document()),
    Column("networks", _document()),
    *_limits(),
    Column("tags", _document(), nullable=False),
    _moment("expires_at"),
    _moment("last_used_at"),
    Column("rotate_days", Integer),
    Column("overlap_seconds", Integer, nullable=False, server_default=text("86400")),
    _moment("rotated_at"),
    Column("created_by", _identifier(), nullable=False),
    _moment("revoked_at"),
    *_versioned(),
    UniqueConstraint("lookup"),
    Index(None, "project_id", "id"),
    Index(None, "owner_id"),
    Index(None, "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
    Index(None, "rotate_days", postgresql_where=text("rotate_days IS NOT NULL")),
    _one_of("status", "active", "suspended", "revoked"),
    _one_of("label", "live", "test"),
    _one_of("owner_kind", "member", "service_account"),
)

notices = Table(
    "notices",
    metadata,
    Column("id", _identifier(), primary_key=True),
    _owned(),
    Column("kind", Text, nullable=False),
    Column("object_id", _identifier(), nullable=False),
    Column("occasion", Text, nullable=False),
    Column("detail", _document(), nullable=False),
    _created(),
    UniqueConstraint("kind", "object_id", "occasion"),
    Index(None, "organization_id", "id"),
)
"""What the members of an organization should know, like a key that ends soon; said once for each occasion."""

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", _identifier(), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("organization_id", _identifier()),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", _identifier()),
    Column("actor_name", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object_kind", Text, nullable=False),
    Column("object_id", Text),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("before", _document()),
    Column("after", _document()),
    _one_of("actor_kind", "user", "service_account", "system", "anonymous"),
    Index(None, "organization_id", "at", "id"),
    Index(None, "organization_id", "actor_id", "at", "id"),
    Index(None, "organization_id", "object_id", "at", "id"),
    Index("ix_audit_log_installation", "at", "id", postgresql_where=text("organization_id IS NULL")),
)
"""Append-only: the service's role may insert and read, and a trigger refuses everybody else; see docs/decisions/0010-audit-log.md.

`at` is the time of the line, not of its transaction, so that the lines of one transaction keep their order.
"""

idempotent_answers = Table(
    "idempotent_answers",
    metadata,
    Column("caller_id", Text, primary_key=True),
    Column("key_digest", Text, primary_key=True),
    Column("request_digest", Text, nullable=False),
    Column("status", Integer),
    Column("sealed", LargeBinary),
    _created(),
    Index(None, "created_at"),
)
"""Answers to creates that carried an Idempotency-Key, sealed with a key that only the client's key opens."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("entry", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
"""Directory records on their way to the bucket; the relay deletes a row once the bus has it on disk."""

directory_state = Table(
    "directory_state",
    metadata,
    Column("only", Boolean, primary_key=True, server_default=text("true")),
    Column("bucket_created", Text, nullable=False, server_default=""),
    Column("generation", BigInteger, nullable=False, server_default=text("0")),
    Column("republish_asked", BigInteger, nullable=False, server_default=text("0")),
    Column("republish_done", BigInteger, nullable=False, server_default=text("0")),
    Column("published_at", DateTime(timezone=True)),
    Column("shape", Integer, nullable=False, server_default=text("0")),
    CheckConstraint('"only"', name="one_row"),
)
"""Which bucket was last filled completely, and how often that was asked for and done; one row."""
