"""The schema's migrations and the grants of the service's role, run by `python -m accounts migrate`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.pool import NullPool

from accounts.outbound.database import SCHEMA, connect_options
from accounts.outbound.tables import audit_log

MIGRATE_LOCK = 4_848_236_202
STATEMENT_SECONDS = 600


class NoSchema(RuntimeError):
    """The role, its database or its schema is not there; the message says so."""


def upgrade(url: URL, service: str) -> None:
    """Bring the schema to the newest revision as its owner; two jobs at a time wait for each other. Raises NoSchema.

    `service` is the role that the service connects as; it is granted what it needs, unless it is the owner itself.
    """
    engine = create_engine(url, poolclass=NullPool, connect_args=connect_options(statement_seconds=STATEMENT_SECONDS))
    with engine.connect() as connection:
        if connection.execute(text("SELECT current_schema()")).scalar_one() != SCHEMA:
            raise NoSchema(f"the schema {SCHEMA} is missing: the superuser creates it for the role {url.username}")
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATE_LOCK})
        connection.commit()
        command.upgrade(alembic_config(connection), "head")
        if service != url.username:
            with connection.begin():
                _grant(connection, service)


def _grant(connection: Connection, service: str) -> None:
    """Everything in the schema to read and write, but: the audit log only to read and to add to, at the time that the database
    says it is; the revision only to read. Whatever it had there before is taken away. Raises NoSchema.
    """
    if not connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": service}).first():
        raise NoSchema(f"the role {service} is missing: the superuser creates it for the service")
    role = connection.dialect.identifier_preparer.quote(service)
    written = ", ".join(f'"{column.name}"' for column in audit_log.c if column.name != "at")
    confined = f"{audit_log.name}, alembic_version"
    for statement in (
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO {role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {SCHEMA} TO {role}",
        f"REVOKE ALL ON {confined} FROM {role}",
        f"GRANT SELECT ON {confined} TO {role}",
        f"GRANT INSERT ({written}) ON {audit_log.name} TO {role}",
    ):
        connection.execute(text(statement))


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration around an open connection; there is no ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent.parent / "migrations"))
    config.attributes["connection"] = connection
    return config
