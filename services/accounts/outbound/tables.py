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


users = Table(
    "users",
    metadata,
    Column("id", _identifier(), primary_key=True),
    Column("email", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="active"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    _one_of("status", "active", "suspended"),
)
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
    *_versioned(),
    UniqueConstraint("slug"),
    _one_of("status", "active", "suspended"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("user_id", _identifier(), ForeignKey("users.id"), primary_key=True),
    Column("organization_id", _identifier(), ForeignKey("organizations.id"), primary_key=True),
    Column("role", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    _one_of("role", "owner", "admin", "developer", "billing", "viewer"),
    Index(None, "organization_id"),
)

projects = Table(
    "projects",
    metadata,
    Column("id", _identifier(), primary_key=True),
    Column("organization_id", _identifier(), ForeignKey("organizations.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="active"),
    Column("models", _document()),
    Column("limits", _document(), nullable=False),
    Column("limits_version", BigInteger, nullable=False, server_default=text("0")),
    Column("budget_mode", Text, nullable=False),
    Column("on_no_grant", Text, nullable=False),
    Column("revoked_streams", Text, nullable=False),
    Column("cache", _document(), nullable=False),
    Column("tier", _document(), nullable=False),
    Column("retention_days", Integer),
    *_versioned(),
    UniqueConstraint("organization_id", "slug"),
    _one_of("status", "active", "suspended"),
    _one_of("budget_mode", "strict", "sliced", "expected"),
    _one_of("on_no_grant", "closed", "open", "grace"),
    _one_of("revoked_streams", "finish", "cut"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", _identifier(), primary_key=True),
    Column("project_id", _identifier(), ForeignKey("projects.id"), nullable=False),
    Column("organization_id", _identifier(), ForeignKey("organizations.id"), nullable=False),
    Column("lookup", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="active"),
    Column("secrets", _document(), nullable=False),
    Column("models", _document()),
    Column("tags", _document(), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("created_by", _identifier(), ForeignKey("users.id"), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    *_versioned(),
    UniqueConstraint("lookup"),
    Index(None, "project_id", "id"),
    _one_of("status", "active", "suspended", "revoked"),
    _one_of("label", "live", "test"),
)

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
    CheckConstraint('"only"', name="one_row"),
)
"""Which bucket was last filled completely, and how often that was asked for and done; one row."""
