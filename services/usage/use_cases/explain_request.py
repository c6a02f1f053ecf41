"""Tell a gateway what became of a request, from what is booked."""

from dataclasses import dataclass

from common.contracts.events import ExplainAnswer, ExplainAsk
from usage.outbound import booked_requests
from usage.outbound.database import Database


@dataclass(frozen=True, slots=True)
class ExplainRequest:
    """Raises one of database.TRANSIENT when the books cannot be had."""

    database: Database

    async def __call__(self, ask: ExplainAsk) -> ExplainAnswer:
        """Only a request of the asked project is told of."""
        if "\0" in ask.project_id + ask.request_id:
            return ExplainAnswer(event=None)
        async with self.database.transaction() as connection:
            return ExplainAnswer(event=await booked_requests.find(connection, ask.project_id, ask.request_id))
