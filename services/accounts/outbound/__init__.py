"""What accounts reaches: its schema in PostgreSQL, the DIRECTORY bucket, the password hasher, the signing key."""
