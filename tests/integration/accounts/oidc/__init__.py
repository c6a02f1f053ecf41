"""Signing in by a certified OpenID provider."""
