"""Hears whether a gateway boot says that it lives, for a command that runs beside the service."""

import asyncio
import contextlib

import msgspec
import nats
from nats.aio.msg import Msg
from nats.errors import Error

from common.bus import connection
from common.contracts.events import Presence
from common.contracts.subjects import PRESENCE

CONNECT_SECONDS = 5.0
LISTEN_SECONDS = 3.0
"""A gateway that is connected says it every second."""


class NotHeard(Exception):
    """There is no connection to NATS: whoever lives cannot be heard."""


class PresentBoots:
    """A connection of its own for each question."""

    def __init__(self, url: str, password: str) -> None:
        self._options = connection.options(url=url, service="usage", password=password, name="usage-release")

    async def says_it_lives(self, boot: str) -> bool:
        """Whether it is heard within a few seconds. Raises NotHeard."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                client = await nats.connect(**{**self._options, "allow_reconnect": False})
        except (Error, OSError, TimeoutError):
            raise NotHeard from None
        heard = asyncio.Event()

        async def hear(message: Msg) -> None:
            with contextlib.suppress(msgspec.DecodeError):
                if msgspec.json.decode(message.data, type=Presence).boot == boot:
                    heard.set()

        try:
            await client.subscribe(PRESENCE, cb=hear)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(heard.wait(), LISTEN_SECONDS)
            if not (heard.is_set() or client.is_connected):
                raise NotHeard
        except (Error, OSError):
            raise NotHeard from None
        finally:
            await client.close()
        return heard.is_set()
