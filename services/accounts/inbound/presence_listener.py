"""Hears the gateways say that they live and how far they have applied the directory."""

import time

import msgspec
from nats.aio.msg import Msg

from accounts.domain.presence import PresenceView
from common.contracts.events import Presence


class PresenceListener:
    """Never raises: an exception would end the bus client's read loop."""

    def __init__(self, view: PresenceView) -> None:
        self._view = view
        self._decode = msgspec.json.Decoder(Presence).decode

    async def hear(self, message: Msg) -> None:
        """One presence message; one that cannot be read is passed over, the next comes in a second."""
        try:
            presence = self._decode(message.data)
        except msgspec.MsgspecError:
            return
        self._view.hear(presence, time.monotonic())
