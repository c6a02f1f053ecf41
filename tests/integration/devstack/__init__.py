"""Integration tests of devstack."""
