"""No gateway at all: the load generator talks to the mock upstream, which shows the rig's own limit and its own latency."""

from bench.peers.system import Ground, System


def start(ground: Ground) -> System:
    """The mock upstream itself; it has no process of its own on the system's core, hence no CPU figure."""
    return System(
        name="direct",
        version="-",
        settings="load generator straight to the mock upstream, both on the load core",
        port=ground.upstream_port,
        roots=(),
        warm_up_seconds=0.5,
    )
