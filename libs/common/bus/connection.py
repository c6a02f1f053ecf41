"""One way to connect to NATS: named, endless reconnects, quick detection of a silent server, an inbox of the service's own."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import nats
from nats.aio.client import Client

from common.contracts.subjects import Service

log = logging.getLogger(__name__)

MINIMUM_SERVER = (2, 12)


class ServerTooOld(RuntimeError):
    """The NATS server silently ignores what we rely on; the message says which version it is."""


def options(
    *,
    url: str,
    service: Service | str,
    password: str,
    name: str,
    on_reconnect: Callable[[], Awaitable[None]] | None = None,
) -> dict[str, Any]:
    """Connection options for nats-py, also accepted by FastStream's NatsBroker. The user name is the service's name."""

    async def failed(problem: Exception) -> None:
        log.warning("bus: %s", type(problem).__name__, extra={"connection": name})

    return {
        "servers": [url],
        "user": service,
        "password": password,
        "name": name,
        "inbox_prefix": f"_INBOX.{service}".encode(),
        "connect_timeout": 2,
        "drain_timeout": 10,
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.25,
        "ping_interval": 5,
        "max_outstanding_pings": 2,
        "error_cb": failed,
        **({"reconnected_cb": on_reconnect} if on_reconnect else {}),
    }


async def connect(
    *,
    url: str,
    service: Service | str,
    password: str,
    name: str,
    on_reconnect: Callable[[], Awaitable[None]] | None = None,
) -> Client:
    """A connection that never gives up; blocks until the first connect succeeds. Raises ServerTooOld."""
    client = await nats.connect(**options(url=url, service=service, password=password, name=name, on_reconnect=on_reconnect))
    try:
        require_version(client)
    except ServerTooOld:
        await client.close()
        raise
    return client


def require_version(client: Client) -> None:
    """Raises ServerTooOld below 2.12, which ignores limits and TTLs without a word."""
    version = client.connected_server_version
    if (version.major, version.minor) < MINIMUM_SERVER:
        raise ServerTooOld(f"NATS {version.major}.{version.minor} is too old: CodexFlow needs 2.12 or newer")
