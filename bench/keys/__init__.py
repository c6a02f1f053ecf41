"""Measurements of the key directory: how soon a revocation counts everywhere, what a million keys cost, what a 401 gives away."""
