"""Unit tests of common."""
