"""Real servers from pinned wheels, for `make up` and the tests: NATS, PostgreSQL and Valkey as processes on loopback ports.

A server is given a folder, a port (0 = a free one) and its secrets. It can be started, stopped, killed and restarted on the same
port and data, so that tests can take the real thing away and give it back.
"""
