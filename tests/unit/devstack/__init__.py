"""Unit tests of devstack."""
