"""Alembic migrations of the schema `usage`; SQL as it is."""
