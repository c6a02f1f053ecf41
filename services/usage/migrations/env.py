"""Runs the migrations over a connection that the caller opened; the version table lives in the service's own schema."""

from alembic import context
from sqlalchemy import Connection, text


def run(connection: Connection) -> None:
    """A migration that cannot get its lock soon gives up rather than queue everybody behind it."""
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.commit()
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
