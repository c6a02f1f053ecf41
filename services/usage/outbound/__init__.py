"""What usage reaches: its Postgres schema, NATS, the key set of accounts."""
