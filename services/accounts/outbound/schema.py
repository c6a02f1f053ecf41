"""The schema's migrations, run by `python -m accounts migrate`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.pool import NullPool

from accounts.outbound.database import SCHEMA, connect_options

MIGRATE_LOCK = 4_848_236_202
STATEMENT_SECONDS = 600


class NoSchema(RuntimeError):
    """The role, its database or its schema is not there; the message says so."""


def upgrade(url: URL) -> None:
    """Bring the schema to the newest revision; two jobs at a time wait for each other. Raises NoSchema."""
    engine = create_engine(url, poolclass=NullPool, connect_args=connect_options(statement_seconds=STATEMENT_SECONDS))
    with engine.connect() as connection:
        if connection.execute(text("SELECT current_schema()")).scalar_one() != SCHEMA:
            raise NoSchema(f"the schema {SCHEMA} is missing: the superuser creates it for the role {SCHEMA}")
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATE_LOCK})
        connection.commit()
        command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration around an open connection; there is no ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent.parent / "migrations"))
    config.attributes["connection"] = connection
    return config
