"""Integration tests of common."""
