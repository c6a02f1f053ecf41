"""Asks usage over the bus for a request that it has booked."""

import msgspec
import nats.errors
from nats.aio.client import Client

from common.contracts.events import ExplainAnswer, ExplainAsk, RequestSettled
from common.contracts.subjects import EXPLAIN_ASK

ASK_SECONDS = 2.0


class Unreachable(Exception):
    """Nobody has answered."""


class BookedRequests:
    """Any usage worker answers."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def find(self, project_id: str, request_id: str) -> RequestSettled | None:
        """The event of a project's request, None if there is none. Raises Unreachable."""
        ask = ExplainAsk(project_id=project_id, request_id=request_id)
        try:
            if not self._client.is_connected:
                raise Unreachable
            reply = await self._client.request(EXPLAIN_ASK, msgspec.json.encode(ask), timeout=ASK_SECONDS)
            return msgspec.json.decode(reply.data, type=ExplainAnswer).event
        except (nats.errors.Error, TimeoutError, OSError, msgspec.MsgspecError):
            raise Unreachable from None
