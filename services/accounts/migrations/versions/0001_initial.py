"""The first tables: people and how they sign in, organizations and what they own, the audit log, and the way to the directory."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _audit_log()
    _directory_state()
    _idempotent_answers()
    _login_failures()
    _oidc_flows()
    _organizations()
    _outbox()
    _users()
    _group_roles()
    _invitations()
    _known_addresses()
    _memberships()
    _notices()
    _oidc_identities()
    _organization_domains()
    _password_resets()
    _plans()
    _service_accounts()
    _sessions()
    _sign_in_codes()
    _access_tokens()
    _projects()
    _spent_refresh_tokens()
    _api_keys()


def _audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("organization_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object_kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("after", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.CheckConstraint("actor_kind IN ('user', 'service_account', 'system', 'anonymous')", name="ck_audit_log_actor_kind"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_organization_id_at_id", "audit_log", ["organization_id", "at", "id"], unique=False)
    for column in ("actor_id", "object_id"):
        op.create_index(f"ix_audit_log_organization_id_{column}_at_id", "audit_log", ["organization_id", column, "at", "id"])
    op.create_index("ix_audit_log_installation", "audit_log", ["at", "id"], postgresql_where=sa.text("organization_id IS NULL"))
    # For each statement, so that one that would change nothing is refused too; ALWAYS, so that the role of a replica is no way around.
    op.execute("""
        CREATE FUNCTION refuse_to_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
        END $$
    """)
    op.execute("""
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite()
    """)
    op.execute("ALTER TABLE audit_log ENABLE ALWAYS TRIGGER append_only")


def _directory_state() -> None:
    op.create_table(
        "directory_state",
        sa.Column("only", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("bucket_created", sa.Text(), server_default="", nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("republish_asked", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("republish_done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shape", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint('"only"', name="ck_directory_state_one_row"),
        sa.PrimaryKeyConstraint("only", name="pk_directory_state"),
    )
    op.execute("INSERT INTO directory_state DEFAULT VALUES")


def _idempotent_answers() -> None:
    op.create_table(
        "idempotent_answers",
        sa.Column("caller_id", sa.Text(), nullable=False),
        sa.Column("key_digest", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("caller_id", "key_digest", name="pk_idempotent_answers"),
    )
    op.create_index("ix_idempotent_answers_created_at", "idempotent_answers", ["created_at"], unique=False)


def _login_failures() -> None:
    op.create_table(
        "login_failures",
        sa.Column("email_digest", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("email_digest", "address", name="pk_login_failures"),
    )
    op.create_index("ix_login_failures_last_at", "login_failures", ["last_at"], unique=False)


def _oidc_flows() -> None:
    op.create_table(
        "oidc_flows",
        sa.Column("state_digest", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("code_verifier", sa.Text(), nullable=False),
        sa.Column("browser_digest", sa.Text(), nullable=False),
        sa.Column("return_to", sa.Text(), nullable=True),
        sa.Column("code_challenge", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(return_to IS NULL) = (code_challenge IS NULL)", name="ck_oidc_flows_return_to"),
        sa.PrimaryKeyConstraint("state_digest", name="pk_oidc_flows"),
    )
    op.create_index("ix_oidc_flows_expires_at", "oidc_flows", ["expires_at"], unique=False)


def _sign_in_codes() -> None:
    op.create_table(
        "sign_in_codes",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("user_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("code_challenge", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sign_in_codes_user_id"),
        sa.PrimaryKeyConstraint("digest", name="pk_sign_in_codes"),
    )
    op.create_index("ix_sign_in_codes_expires_at", "sign_in_codes", ["expires_at"], unique=False)
    op.create_index("ix_sign_in_codes_user_id", "sign_in_codes", ["user_id"], unique=False)


def _organizations() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("max_staleness_seconds", sa.Integer(), nullable=False),
        sa.Column("limits", postgresql.JSONB(none_as_null=True), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("limits_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("end_user_limits", postgresql.JSONB(none_as_null=True), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("alert_percents", postgresql.JSONB(none_as_null=True), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('active', 'suspended')", name="ck_organizations_status"),
        sa.PrimaryKeyConstraint("id", name="pk_organizations"),
        sa.UniqueConstraint("slug", name="uq_organizations_slug"),
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("operator", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('active', 'suspended')", name="ck_users_status"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
    )
    op.create_index("uq_users_email_lower", "users", [sa.literal_column("lower(email)")], unique=True)


def _group_roles() -> None:
    op.create_table(
        "group_roles",
        sa.Column("organization_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.CheckConstraint("role IN ('admin', 'developer', 'billing', 'viewer')", name="ck_group_roles_role"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_group_roles_organization_id"),
        sa.PrimaryKeyConstraint("organization_id", "provider", "group_name", name="pk_group_roles"),
    )


def _invitations() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("organization_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("invited_by", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role IN ('owner', 'admin', 'developer', 'billing', 'viewer')", name="ck_invitations_role"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_invitations_organization_id"),
        sa.PrimaryKeyConstraint("id", name="pk_invitations"),
        sa.UniqueConstraint("digest", name="uq_invitations_digest"),
    )
    op.create_index("ix_invitations_organization_id_id", "invitations", ["organization_id", "id"], unique=False)


def _known_addresses() -> None:
    op.create_table(
        "known_addresses",
        sa.Column("user_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_known_addresses_user_id"),
        sa.PrimaryKeyConstraint("user_id", "address", name="pk_known_addresses"),
    )


def _memberships() -> None:
    op.create_table(
        "memberships",
        sa.Column("user_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("organization_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("mapped_role", sa.Text(), nullable=True),
        sa.Column("limits", postgresql.JSONB(none_as_null=True), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("limits_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "mapped_role IN ('admin', 'developer', 'billing', 'viewer', 'none')", name="ck_memberships_mapped_role"
        ),
        sa.CheckConstraint("role IN ('owner', 'admin', 'developer', 'billing', 'viewer')", name="ck_memberships_role"),
        sa.CheckConstraint("status IN ('active', 'suspended', 'ended')", name="ck_memberships_status"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_memberships_organization_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_memberships_user_id"),
        sa.PrimaryKeyConstraint("user_id", "organization_id", name="pk_memberships"),
    )
    op.create_index("ix_memberships_organization_id", "memberships", ["organization_id"], unique=False)


def _notices() -> None:
    op.create_table(
        "notices",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("organization_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("occasion", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_notices_organization_id"),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sa.UniqueConstraint("kind", "object_id", "occasion", name="uq_notices_kind_object_id_occasion"),
    )
    op.create_index("ix_notices_organization_id_id", "notices", ["organization_id", "id"], unique=False)


def _oidc_identities() -> None:
    op.create_table(
        "oidc_identities",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("user_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_oidc_identities_user_id"),
        sa.PrimaryKeyConstraint("issuer", "subject", name="pk_oidc_identities"),
    )
    op.create_index("ix_oidc_identities_user_id", "oidc_identities", ["user_id"], unique=False)


def _organization_domains() -> None:
    op.create_table(
        "organization_domains",
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("default_role", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "default_role IN ('admin', 'developer', 'billing', 'viewer')", name="ck_organization_domains_default_role"
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_organization_domains_organization_id"),
        sa.PrimaryKeyConstraint("domain", name="pk_organization_domains"),
    )
    op.create_index("ix_organization_domains_organization_id", "organization_domains", ["organization_id"], unique=False)


def _password_resets() -> None:
    op.create_table(
        "password_resets",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("user_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_password_resets_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_password_resets"),
        sa.UniqueConstraint("digest", name="uq_password_resets_digest"),
    )
    op.create_index("ix_password_resets_user_id", "password_resets", ["user_id"], unique=False)


def _plans() -> None:
    op.create_table(
        "plans",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("organization_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("limits", postgresql.JSONB(none_as_null=True), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("limits_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("alert_percents", postgresql.JSONB(none_as_null=True), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_plans_organization_id"),
        sa.PrimaryKeyConstraint("id", name="pk_plans"),
        sa.UniqueConstraint("organization_id", "name", name="uq_plans_organization_id_name"),
    )


def _service_accounts() -> None:
    op.create_table(
        "service_accounts",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("organization_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("limits", postgresql.JSONB(none_as_null=True), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("limits_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_by", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role IN ('admin', 'developer', 'billing', 'viewer')", name="ck_service_accounts_role"),
        sa.CheckConstraint("status IN ('active', 'suspended', 'ended')", name="ck_service_accounts_status"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_service_accounts_organization_id"),
        sa.PrimaryKeyConstraint("id", name="pk_service_accounts"),
    )
    op.create_index(
        "uq_service_accounts_live_name",
        "service_accounts",
        ["organization_id", "name"],
        unique=True,
        postgresql_where=sa.text("status <> 'ended'"),
    )


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("user_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("refresh_digest", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("refreshed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "end_reason IN ('signed_out', 'signed_out_everywhere', 'reuse', 'password', 'suspended')",
            name="ck_sessions_end_reason",
        ),
        sa.CheckConstraint("method IN ('password', 'oidc')", name="ck_sessions_method"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("refresh_digest", name="uq_sessions_refresh_digest"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"], unique=False)


def _access_tokens() -> None:
    op.create_table(
        "access_tokens",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("user_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("service_account_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("num_nonnulls(user_id, service_account_id) = 1", name="ck_access_tokens_one_bearer"),
        sa.ForeignKeyConstraint(["service_account_id"], ["service_accounts.id"], name="fk_access_tokens_service_account_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_access_tokens_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_access_tokens"),
        sa.UniqueConstraint("digest", name="uq_access_tokens_digest"),
    )
    op.create_index("ix_access_tokens_service_account_id", "access_tokens", ["service_account_id"], unique=False)
    op.create_index("ix_access_tokens_user_id", "access_tokens", ["user_id"], unique=False)


def _projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("organization_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("plan_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("models", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("limits", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("limits_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("limit_overrides", postgresql.JSONB(none_as_null=True), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("end_user_limits", postgresql.JSONB(none_as_null=True), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("alert_percents", postgresql.JSONB(none_as_null=True), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("budget_mode", sa.Text(), nullable=False),
        sa.Column("on_no_grant", sa.Text(), nullable=False),
        sa.Column("revoked_streams", sa.Text(), nullable=False),
        sa.Column("cache", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("tier", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("retention_days", sa.Integer(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("budget_mode IN ('strict', 'sliced', 'expected')", name="ck_projects_budget_mode"),
        sa.CheckConstraint("on_no_grant IN ('closed', 'open', 'grace')", name="ck_projects_on_no_grant"),
        sa.CheckConstraint("revoked_streams IN ('finish', 'cut')", name="ck_projects_revoked_streams"),
        sa.CheckConstraint("status IN ('active', 'suspended')", name="ck_projects_status"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_projects_organization_id"),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name="fk_projects_plan_id"),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("organization_id", "slug", name="uq_projects_organization_id_slug"),
    )
    op.create_index("ix_projects_plan_id", "projects", ["plan_id"], unique=False)


def _spent_refresh_tokens() -> None:
    op.create_table(
        "spent_refresh_tokens",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("session_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("spent_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_spent_refresh_tokens_session_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("digest", name="pk_spent_refresh_tokens"),
    )
    op.create_index("ix_spent_refresh_tokens_session_id", "spent_refresh_tokens", ["session_id"], unique=False)


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("project_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("organization_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("lookup", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("secrets", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("owner_kind", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("scopes", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("models", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("networks", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("limits", postgresql.JSONB(none_as_null=True), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("limits_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("tags", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rotate_days", sa.Integer(), nullable=True),
        sa.Column("overlap_seconds", sa.Integer(), server_default=sa.text("86400"), nullable=False),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("label IN ('live', 'test')", name="ck_api_keys_label"),
        sa.CheckConstraint("owner_kind IN ('member', 'service_account')", name="ck_api_keys_owner_kind"),
        sa.CheckConstraint("status IN ('active', 'suspended', 'revoked')", name="ck_api_keys_status"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_api_keys_organization_id"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_api_keys_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("lookup", name="uq_api_keys_lookup"),
    )
    op.create_index(
        "ix_api_keys_expires_at",
        "api_keys",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_index("ix_api_keys_owner_id", "api_keys", ["owner_id"], unique=False)
    op.create_index("ix_api_keys_project_id_id", "api_keys", ["project_id", "id"], unique=False)
    op.create_index(
        "ix_api_keys_rotate_days",
        "api_keys",
        ["rotate_days"],
        unique=False,
        postgresql_where=sa.text("rotate_days IS NOT NULL"),
    )
