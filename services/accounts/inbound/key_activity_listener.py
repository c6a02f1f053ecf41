"""Hears from usage which keys have been used."""

import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from nats.aio.msg import Msg

from common.contracts.events import KeyActivity

log = logging.getLogger(__name__)

Mark = Callable[[Sequence[tuple[str, int]]], Awaitable[None]]


class KeyActivityListener:
    """Never raises: an exception would end the bus client's read loop. What cannot be read is passed over."""

    def __init__(self, mark: Mark) -> None:
        self._mark = mark
        self._decode = msgspec.json.Decoder(KeyActivity).decode

    async def hear(self, message: Msg) -> None:
        """Some keys and the minutes of their latest use."""
        try:
            activity = self._decode(message.data)
        except msgspec.MsgspecError:
            log.warning("key activity: a message cannot be read")
            return
        await self._mark(activity.keys)
