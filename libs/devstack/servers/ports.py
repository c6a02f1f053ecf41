"""Free loopback ports."""

import random
import socket

LOOPBACK = "127.0.0.1"

# Below the range from which Linux and macOS take the local ports of outgoing connections: those would collide with a restart.
_CHOICE = range(15_000, 32_000)


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Nobody listens there now; a connection in TIME_WAIT does not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port that is free now; nothing keeps it so. Raises RuntimeError when a hundred tries found none."""
    for port in random.sample(_CHOICE, 100):
        if is_free(port):
            return port
    raise RuntimeError("no free loopback port found")
