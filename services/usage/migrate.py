"""Bring the service's schema up to date: Alembic, run from here, so that no password is ever in a file or an address."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

MIGRATIONS = Path(__file__).with_name("migrations")


def migrate(url: str, password: str, revision: str = "head") -> None:
    """Apply what is missing up to that revision, each migration in a transaction of its own.

    Raises sqlalchemy.exc.OperationalError when the database is away or a lock cannot be had soon; what was applied stays.
    """
    from sqlalchemy import make_url

    parsed = make_url(url)
    target = URL.create("postgresql+psycopg", parsed.username, password, parsed.host, parsed.port, parsed.database, parsed.query)
    engine = create_engine(target, poolclass=NullPool, connect_args={"connect_timeout": 5, "application_name": "usage-migrate"})
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
