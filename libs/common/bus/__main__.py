"""The provisioning job: `python -m common.bus` creates and updates streams, buckets and consumers, then verifies them."""

import asyncio
import os
import sys

from common.bus import connection, provisioning
from common.bus.server_config import ADMINISTRATOR


async def main() -> int:
    """Reads BUS_NATS_URL, BUS_NATS_PASSWORD, BUS_REPLICAS (1), BUS_MAX_BYTES_SCALE (1.0)."""
    try:
        url, password = os.environ["BUS_NATS_URL"], os.environ["BUS_NATS_PASSWORD"]
    except KeyError as missing:
        sys.stderr.write(f"set {missing.args[0]}\n")
        return 2
    client = await connection.connect(url=url, service=ADMINISTRATOR, password=password, name="provisioning")
    try:
        done = await provisioning.provision(
            client.jetstream(),
            replicas=int(os.environ.get("BUS_REPLICAS", "1")),
            max_bytes_scale=float(os.environ.get("BUS_MAX_BYTES_SCALE", "1")),
        )
    finally:
        await client.close()
    sys.stderr.write("".join(f"{line}\n" for line in done) or "bus: nothing to do\n")
    return 0


sys.exit(asyncio.run(main()))
