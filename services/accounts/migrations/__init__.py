"""Alembic's environment and revisions; run by outbound/schema.py."""
