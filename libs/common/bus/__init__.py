"""Manners on the bus: how to connect, what streams and buckets exist, who may publish what."""
