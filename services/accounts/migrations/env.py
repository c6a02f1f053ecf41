"""Runs the migrations on the connection that outbound/schema.py hands over."""

from alembic import context

from accounts.outbound.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    # A migration that waits behind a long transaction makes every query behind it wait too: rather fail and be run again.
    context.execute("SET LOCAL lock_timeout = '5s'")
    context.run_migrations()
