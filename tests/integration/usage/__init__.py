"""Integration tests of usage."""
