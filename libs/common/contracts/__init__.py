"""Agreements between the services: wire shapes, subjects, key format, prices, roles. Fields are only ever added, with a default."""
